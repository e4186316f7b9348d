#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include <tartan/base/index.hpp>

#include "timing.hpp"

/// What the benchmarks of CUDA kernels share: memory of the current device, times on one stream, ids.
namespace tartan::benchmarks {

inline void check(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

/// Whether there is a device; the stream belongs to it.
inline bool found_device() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
}
inline cudaStream_t stream() {
  static const cudaStream_t made = [] {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
  }();
  return made;
}

/// Memory of the device; every byte has been written.
template <class T>
class Array {
 public:
  explicit Array(Index size) : size_{size} {
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes()));
    data_.reset(static_cast<T*>(memory));
    check(cudaMemsetAsync(memory, 1, bytes(), stream()));
  }
  explicit Array(const std::vector<T>& values) : Array(static_cast<Index>(values.size())) {
    check(cudaMemcpyAsync(data(), values.data(), bytes(), cudaMemcpyHostToDevice, stream()));
    check(cudaStreamSynchronize(stream()));
  }

  T* data() const { return data_.get(); }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }

 private:
  struct Free {
    void operator()(T* data) const { (void)cudaFree(data); }
  };
  std::unique_ptr<T, Free> data_;
  Index size_;
};

/// The times of call(0), ..., call(repetitions - 1) in milliseconds, enqueued one behind the other.
template <class Call>
Quartiles milliseconds(int repetitions, Call&& call) {
  std::vector<cudaEvent_t> marks(static_cast<std::size_t>(repetitions) + 1);
  for (auto& mark : marks) check(cudaEventCreate(&mark));
  for (int i = 0; i < 3; ++i) call(i);
  check(cudaEventRecord(marks[0], stream()));
  for (int i = 0; i < repetitions; ++i) {
    call(i);
    check(cudaEventRecord(marks[static_cast<std::size_t>(i) + 1], stream()));
  }
  check(cudaStreamSynchronize(stream()));
  std::vector<double> times;
  for (std::size_t i = 1; i < marks.size(); ++i) {
    float time = 0;
    check(cudaEventElapsedTime(&time, marks[i - 1], marks[i]));
    times.push_back(time);
  }
  for (const auto mark : marks) check(cudaEventDestroy(mark));
  return quartiles(std::move(times));
}

enum class Law { uniform, zipf, half_on_one };
inline const char* name(Law law) {
  return law == Law::uniform ? "uniform" : law == Law::zipf ? "zipf 1.05" : "half on one row";
}

/// Zipf: rank r has a probability in proportion to r^-1.05; the ranks are scattered over the table.
class Zipf {
 public:
  explicit Zipf(Index rows) : row_of_rank_(static_cast<std::size_t>(rows)) {
    double sum = 0;
    for (Index r = 0; r < rows; ++r) cumulated_.push_back(sum += std::pow(static_cast<double>(r + 1), -1.05));
    std::iota(row_of_rank_.begin(), row_of_rank_.end(), 0);
    std::ranges::shuffle(row_of_rank_, std::mt19937_64{7});
  }
  template <class Random>
  Index operator()(Random& random) const {
    std::uniform_real_distribution<double> uniform{0, cumulated_.back()};
    const auto rank =
        static_cast<std::size_t>(std::ranges::lower_bound(cumulated_, uniform(random)) - cumulated_.begin());
    return row_of_rank_[std::min(rank, row_of_rank_.size() - 1)];
  }

 private:
  std::vector<double> cumulated_;
  std::vector<Index> row_of_rank_;
};

inline std::vector<Index> draw_ids(Law law, Index rows, Index count, std::uint64_t seed = 1) {
  static std::map<Index, Zipf> zipf;
  std::mt19937_64 random{seed};
  std::vector<Index> ids(static_cast<std::size_t>(count));
  if (law == Law::zipf) {
    const Zipf& row = zipf.try_emplace(rows, rows).first->second;
    for (Index& id : ids) id = row(random);
    return ids;
  }
  std::uniform_int_distribution<Index> row{0, rows - 1};
  for (Index& id : ids) id = row(random);
  if (law == Law::half_on_one) {
    for (std::size_t i = 0; i < ids.size(); i += 2) ids[i] = rows / 3;
  }
  return ids;
}

}  // namespace tartan::benchmarks
