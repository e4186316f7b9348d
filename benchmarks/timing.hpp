#pragma once

#include <mpi.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

/// How the benchmarks take times and sum them up.
namespace tartan::benchmarks {

struct Quartiles {
  double low, median, high;
};

inline Quartiles quartiles(std::vector<double> times) {
  std::ranges::sort(times);
  const std::size_t n = times.size();
  return {times[n / 4], times[n / 2], times[3 * n / 4]};
}

/// Microseconds of this rank, after all have come.
inline double microseconds(const std::function<void()>& call, MPI_Comm comm) {
  MPI_Barrier(comm);
  const double start = MPI_Wtime();
  call();
  return 1e6 * (MPI_Wtime() - start);
}

/// Each of the times as the slowest rank has it.
inline void take_slowest(std::vector<double>& times, MPI_Comm comm) {
  MPI_Allreduce(MPI_IN_PLACE, times.data(), static_cast<int>(times.size()), MPI_DOUBLE, MPI_MAX, comm);
}

/// The medians over repetitions of the slowest rank's microseconds, of calls that take turns; after `warm_up` rounds.
inline std::vector<double> medians(const std::vector<std::function<void()>>& calls, MPI_Comm comm, int repetitions,
                                   int warm_up) {
  std::vector<std::vector<double>> times(calls.size());
  for (int i = 0; i < warm_up + repetitions; ++i) {
    for (std::size_t c = 0; c < calls.size(); ++c) {
      const double time = microseconds(calls[c], comm);
      if (i >= warm_up) times[c].push_back(time);
    }
  }
  std::vector<double> result;
  for (auto& of_call : times) {
    take_slowest(of_call, comm);
    result.push_back(quartiles(std::move(of_call)).median);
  }
  return result;
}

inline double median(const std::function<void()>& call, MPI_Comm comm, int repetitions, int warm_up) {
  return medians({call}, comm, repetitions, warm_up)[0];
}

}  // namespace tartan::benchmarks
