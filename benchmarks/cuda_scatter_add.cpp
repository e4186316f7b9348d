// The ordered backward on a GPU against a copy on the same GPU, and against atomic additions:
//   bench_cuda_scatter_add [milliseconds per figure]
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <tartan/version.hpp>

#include "kernels/row_updates.hpp"
#include "kernels/rows.hpp"

namespace {

using namespace tartan;
using namespace tartan::kernels;

void check(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

cudaStream_t stream;
double budget = 200;  // milliseconds of measurements for a figure

template <class T>
class Array {
 public:
  explicit Array(Index size) : size_{size} {
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes()));
    data_ = static_cast<T*>(memory);
    check(cudaMemsetAsync(data_, 0, bytes(), stream));
  }
  explicit Array(const std::vector<T>& values) : Array(static_cast<Index>(values.size())) {
    check(cudaMemcpyAsync(data_, values.data(), bytes(), cudaMemcpyHostToDevice, stream));
    check(cudaStreamSynchronize(stream));
  }
  ~Array() { cudaFree(data_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* data() const { return data_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }

 private:
  T* data_ = nullptr;
  Index size_;
};

/// The median time of a call in milliseconds, by events around it.
template <class Call>
double milliseconds(Call&& call) {
  cudaEvent_t start = nullptr, stop = nullptr;
  check(cudaEventCreate(&start));
  check(cudaEventCreate(&stop));
  call();
  check(cudaStreamSynchronize(stream));
  std::vector<double> times;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double, std::milli>(budget);
  while (times.size() < 5 || std::chrono::steady_clock::now() < end) {
    check(cudaEventRecord(start, stream));
    call();
    check(cudaEventRecord(stop, stream));
    check(cudaEventSynchronize(stop));
    float time = 0;
    check(cudaEventElapsedTime(&time, start, stop));
    times.push_back(time);
  }
  check(cudaEventDestroy(start));
  check(cudaEventDestroy(stop));
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

/// Bytes read and written by a copy in a millisecond: of 1 GiB.
double copy_rate() {
  const Array<std::byte> from(Index{1} << 30), to(Index{1} << 30);
  const double time = milliseconds(
      [&] { check(cudaMemcpyAsync(to.data(), from.data(), from.bytes(), cudaMemcpyDeviceToDevice, stream)); });
  return 2 * static_cast<double>(from.bytes()) / time;
}

enum class Law { uniform, zipf, half_on_one };
const char* name(Law law) {
  return law == Law::uniform ? "uniform" : law == Law::zipf ? "zipf 1.05" : "half on one row";
}

std::vector<Index> draw_ids(Law law, Index rows, Index count) {
  std::mt19937_64 random{1};
  std::uniform_int_distribution<Index> row{0, rows - 1};
  std::vector<Index> ids(static_cast<std::size_t>(count));
  for (Index& id : ids) id = row(random);
  if (law == Law::half_on_one) {
    for (std::size_t i = 0; i < ids.size(); i += 2) ids[i] = rows / 3;
  } else if (law == Law::zipf) {
    static std::map<Index, std::vector<double>> cumulated;
    auto& sums = cumulated[rows];
    if (sums.empty()) {
      double sum = 0;
      for (Index r = 0; r < rows; ++r) sums.push_back(sum += std::pow(static_cast<double>(r + 1), -1.05));
    }
    std::uniform_real_distribution<double> uniform{0, sums.back()};
    for (Index& id : ids) {
      const Index rank = std::min(rows - 1, std::lower_bound(sums.begin(), sums.end(), uniform(random)) - sums.begin());
      id = rank * 2'654'435'761 % rows;
    }
  }
  return ids;
}

void line(const std::string& cell, double time, const std::string& ratio, const std::string& target) {
  fmt::print("{:64} {:9.4f} ms  {:44} {}\n", cell, time, ratio, target);
  std::fflush(stdout);
}

/// Adds the contributions of ids to rows of a table, planned, with the plan, and by atomic additions.
void scatter(double rate, Law law, Index rows, Index count, Index columns) {
  const Cuda where{stream};
  const Array<Index> ids(draw_ids(law, rows, count));
  const Array<float> terms(count * columns), table(rows * columns);
  const Matrix<const float> from{terms.data(), count, columns, columns};
  const Matrix<float> to{table.data(), rows, columns, columns};
  const auto make = [&] { return plan_rows(where, ids.data(), count, Index{0}, rows, Index{-1}); };
  const auto plan = make();

  const double folded = milliseconds([&] { accumulate_rows(where, plan, from, to); });
  const double whole = milliseconds([&] { accumulate_rows(where, make(), from, to); });
  const double atomic =
      milliseconds([&] { accumulate_rows_atomic(where, ids.data(), count, Index{0}, Index{-1}, from, to); });

  const double row_bytes = static_cast<double>(columns) * sizeof(float);
  const double best =
      static_cast<double>(count) * (row_bytes + sizeof(Index)) + 2 * static_cast<double>(plan.distinct()) * row_bytes;
  const double with_sort = best + 52.0 * static_cast<double>(count);
  const auto cell = fmt::format("{} ids {}, {} x {}", count, name(law), rows, columns);
  line("accumulate, planned: " + cell, folded, fmt::format("{:.2f} of copy", best / folded / rate), "");
  line("accumulate:          " + cell, whole,
       fmt::format("{:.2f} of copy, {:.2f} with the sort's bytes", best / whole / rate, with_sort / whole / rate),
       ">= 0.60");
  line("  plan", whole - folded, fmt::format("{:.2f} of the whole", (whole - folded) / whole), "");
  line("  atomic additions", atomic, fmt::format("ordered: {:.2f} times as long", whole / atomic),
       law == Law::half_on_one ? "< 1"
       : law == Law::zipf      ? "<= 1.15"
                               : "");
  fmt::print("  plan holds {:.1f} bytes an id, making it takes {:.1f} more; {} distinct rows\n",
             static_cast<double>(plan.held_bytes()) / static_cast<double>(count),
             static_cast<double>(plan.workspace_bytes()) / static_cast<double>(count), plan.distinct());
}

/// Backward and SGD of ten tables, as one table of all their rows.
void ten_tables(double rate) {
  const Cuda where{stream};
  constexpr Index tables = 10, rows = 1'677'721, columns = 128, count = 1'048'570, each = count / tables;
  const auto drawn = draw_ids(Law::zipf, rows, each);
  std::vector<Index> all;
  std::mt19937_64 random{2};
  for (Index i = 0; i < each; ++i) {
    for (Index f = 0; f < tables; ++f) all.push_back(f * rows + drawn[random() % drawn.size()]);
  }
  const Array<Index> ids(all);
  const Array<float> terms(count * columns), table(tables * rows * columns);
  const Matrix<const float> from{terms.data(), count, columns, columns};
  const Matrix<float> to{table.data(), tables * rows, columns, columns};
  const auto make = [&] { return plan_rows(where, ids.data(), count, Index{0}, to.rows, Index{-1}); };
  const auto plan = make();
  const double best =
      static_cast<double>(count) * (columns * 4.0 + 8) + 2.0 * static_cast<double>(plan.distinct()) * columns * 4;
  const double planned = milliseconds([&] { sgd_rows<float>(where, plan, from, 0.1F, to); });
  const double whole = milliseconds([&] { sgd_rows<float>(where, make(), from, 0.1F, to); });
  const std::string cell = "backward + SGD, 10 x 1,677,721 x 128, 1,048,570 ids, zipf 1.05";
  line(cell, whole, fmt::format("{:.2f} of copy", best / whole / rate),
       fmt::format("<= 0.35 ms: {:.2f} of it", whole / 0.35));
  line("  planned in forward", planned, fmt::format("{:.2f} of copy", best / planned / rate),
       fmt::format("<= 0.35 ms: {:.2f} of it", planned / 0.35));

  const Array<float> state(to.rows * columns);
  const Matrix<float> sums{state.data(), to.rows, columns, columns};
  line("  Adagrad, planned", milliseconds([&] { adagrad_rows<float>(where, plan, from, 0.1F, 1e-8F, sums, to); }), "",
       "");
  line("  row-wise Adagrad, planned",
       milliseconds([&] { rowwise_adagrad_rows<float>(where, plan, from, 0.1F, 1e-8F, state.data(), to); }), "", "");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) budget = std::atof(argv[1]);
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  cudaMemPool_t pool = nullptr;
  check(cudaDeviceGetDefaultMemPool(&pool, 0));
  std::uint64_t kept = ~std::uint64_t{0};
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &kept));
  const double rate = copy_rate();
  fmt::print("{}\nfloat; copy {:.2f} TB/s, read and written; medians; fractions count the bytes that move at best\n",
             build_info().to_string(), rate / 1e9);

  ten_tables(rate);
  constexpr Index rows = 1'000'000, count = 1'048'576;
  for (const auto law : {Law::uniform, Law::zipf}) {
    for (const Index columns : {32, 128, 512}) scatter(rate, law, rows, count, columns);
  }
  for (const Index columns : {1, 2, 3, 4, 8, 16, 32}) scatter(rate, Law::zipf, rows, count, columns);
  for (const Index columns : {32, 128}) scatter(rate, Law::half_on_one, rows, 7'770'000, columns);
  for (const Index few : {64, 1024, 4096, 4097, 8192, 65'536}) scatter(rate, Law::uniform, rows, few, 128);
}
