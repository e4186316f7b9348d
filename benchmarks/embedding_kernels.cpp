// The row kernels against memcpy of the same bytes, on TARTAN_THREADS threads (memcpy: one):
//   embedding_kernels [repetitions [columns...]]
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <tartan/base/threads.hpp>
#include <tartan/version.hpp>

#include "kernels/bags.hpp"
#include "kernels/rows.hpp"
#include "kernels/tables.hpp"
#include "timing.hpp"

namespace {

using namespace tartan;
using namespace tartan::kernels;

constexpr Index table_rows = 1'000'000;
constexpr Index lookups = 131'072;
constexpr Index bag = 16, bags = lookups / bag;
constexpr Index tables = 32, batch = lookups / tables;
constexpr Index sort_bytes = 52 * lookups;

/// A matrix in huge pages, every page of it touched.
class Storage {
 public:
  Storage(Index rows, Index columns) : rows_{rows}, columns_{columns} {
    const std::size_t page = 2u << 20;
    const std::size_t bytes = (rows * columns * sizeof(float) + page - 1) / page * page;
    data_.reset(static_cast<float*>(std::aligned_alloc(page, bytes)));
    madvise(data_.get(), bytes, MADV_HUGEPAGE);
    for (Index i = 0; i < rows * columns; ++i) data_.get()[i] = static_cast<float>(i % 1021) * 1e-3f;
  }

  Matrix<float> view() const { return {data_.get(), rows_, columns_, columns_}; }
  Matrix<const float> read() const { return {data_.get(), rows_, columns_, columns_}; }
  Matrix<float> first(Index rows) const { return {data_.get(), rows, columns_, columns_}; }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
  Index rows_;
  Index columns_;
};

std::vector<Index> uniform_ids(std::mt19937_64& random) {
  std::uniform_int_distribution<Index> row{0, table_rows - 1};
  std::vector<Index> ids(lookups);
  for (Index& id : ids) id = row(random);
  return ids;
}

/// Rank r has a probability in proportion to r^-1.05; the ranks are scattered over the table.
std::vector<Index> zipf_ids(std::mt19937_64& random) {
  std::vector<double> weights(table_rows);
  for (Index r = 0; r < table_rows; ++r) weights[r] = std::pow(r + 1, -1.05);
  std::vector<Index> row_of_rank(table_rows);
  std::iota(row_of_rank.begin(), row_of_rank.end(), 0);
  std::shuffle(row_of_rank.begin(), row_of_rank.end(), random);
  std::discrete_distribution<Index> rank{weights.begin(), weights.end()};
  std::vector<Index> ids(lookups);
  for (Index& id : ids) id = row_of_rank[rank(random)];
  return ids;
}

template <class Body>
double milliseconds(Body&& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

struct Cell {
  std::string kernel;
  std::string ids;
  Index columns;
  Index bytes_without_reuse;
  Index bytes_at_best;
};

/// Times the kernel and the copy of `copied` bytes in turn and prints a line.
template <class Kernel, class Copy>
void measure(const Cell& cell, int repetitions, Index copied, Kernel&& kernel, Copy&& copy) {
  kernel();
  copy();
  std::vector<double> kernel_times, copy_times;
  for (int i = 0; i < repetitions; ++i) {
    kernel_times.push_back(milliseconds(kernel));
    copy_times.push_back(milliseconds(copy));
  }
  const auto time = benchmarks::quartiles(kernel_times);
  const auto reference = benchmarks::quartiles(copy_times);
  const double ratio = reference.median / time.median;
  const double copy_traffic = 2.0 * static_cast<double>(copied);
  fmt::print(
      "{:11} {:8} {:5} {:9.3f} {:8.3f} {:8.3f} {:9.3f} {:8.3f} {:8.3f} {:6.1f} % {:9.1f} {:6.1f} % {:9.1f} {:6.1f} %\n",
      cell.kernel, cell.ids, cell.columns, time.low, time.median, time.high, reference.low, reference.median,
      reference.high, 100 * ratio, 1e-6 * cell.bytes_without_reuse,
      100 * ratio * cell.bytes_without_reuse / copy_traffic, 1e-6 * cell.bytes_at_best,
      100 * ratio * cell.bytes_at_best / copy_traffic);
  std::fflush(stdout);
}

void measure_columns(Index columns, int repetitions) {
  const Storage table{table_rows, columns}, contributions{lookups, columns}, rows{lookups, columns};
  const Index row_bytes = columns * static_cast<Index>(sizeof(float));
  const Index copied = lookups * row_bytes;
  const Index id_bytes = lookups * static_cast<Index>(sizeof(Index));
  const Index zeros = table_rows * row_bytes;
  const Index wide = tables * columns;

  for (const std::string law : {"uniform", "zipf"}) {
    std::mt19937_64 random{1};
    const auto ids = law == "uniform" ? uniform_ids(random) : zipf_ids(random);
    const auto plan_ids = [&] { return plan_rows(Cpu{}, ids.data(), lookups, 0, table_rows, -1); };
    const auto plan = plan_ids();
    const auto distinct = std::ssize(plan.rows);
    const Index gradient = copied + 2 * distinct * row_bytes;
    std::vector<Index> offsets(bags + 1);
    for (Index b = 0; b <= bags; ++b) offsets[b] = b * bag;
    std::vector<TableColumns<float>> slots;
    for (Index f = 0; f < tables; ++f) {
      const Index first = f * (table_rows / tables);
      slots.push_back({{table.read().row(first), table_rows / tables, columns, columns}, 0, f * columns});
    }
    std::vector<Index> by_sample(ids);
    for (Index& id : by_sample) id %= table_rows / tables;
    const auto compare = [&](const char* kernel, Index bytes, Index bytes_at_best, auto&& body) {
      measure({kernel, law, columns, bytes, bytes_at_best}, repetitions, copied, body,
              [&] { std::memcpy(rows.view().data, contributions.view().data, copied); });
    };

    compare("gather", 2 * copied + id_bytes, copied + distinct * row_bytes + id_bytes,
            [&] { gather_rows(Cpu{}, table.read(), 0, ids.data(), rows.view()); });
    compare("accumulate", gradient + id_bytes + sort_bytes, gradient + id_bytes,
            [&] { accumulate_rows(Cpu{}, plan_ids(), contributions.read(), table.view()); });
    compare("planned", gradient, gradient, [&] { accumulate_rows(Cpu{}, plan, contributions.read(), table.view()); });
    compare("in two", gradient + 2 * distinct * row_bytes, gradient, [&] {
      fold_rows(Cpu{}, plan, contributions.read(), rows.first(distinct));
      add_rows(Cpu{}, plan.rows.data(), distinct, rows.read(), table.view());
    });
    compare("bag", copied + bags * row_bytes + id_bytes, distinct * row_bytes + bags * row_bytes + id_bytes, [&] {
      sum_bags(Cpu{}, table.read(), 0, ids.data(), offsets.data(), nullptr, nullptr, -1, rows.first(bags));
    });
    compare("tables", 2 * copied + id_bytes, copied + distinct * row_bytes + id_bytes, [&] {
      gather_tables<float>(Cpu{}, slots, by_sample.data(), {rows.view().data, batch, wide, wide});
    });
    compare("dense", zeros + gradient + id_bytes + sort_bytes, zeros + gradient + id_bytes, [&] {
      std::memset(table.view().data, 0, zeros);
      accumulate_rows(Cpu{}, plan_ids(), contributions.read(), table.view());
    });
  }
}

constexpr const char* legend =
    R"(gather: rows of the table by id; accumulate: plan, fold and add to the table; planned: without the plan; in two: planned,
the folds written to memory, then added; dense: accumulate after zero-filling the table; bag: sums of 16 rows; tables: the
table as 32 tables, gathered together; copy: memcpy of B x D floats.
Times in ms: lower quartile, median, upper quartile. Fractions of the copy: by time; by the bytes that move without reuse in
a cache (accumulate, dense: with the sort's 52 B); by those that move at best.
)";

}  // namespace

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::atoi(argv[1]) : 200;
  std::vector<Index> widths;
  for (int i = 2; i < argc; ++i) widths.push_back(std::atoll(argv[i]));
  if (widths.empty()) widths = {4, 16, 32, 64, 128, 256, 768, 1024};
  double load = 0;
  getloadavg(&load, 1);

  fmt::print("{}\n{} repetitions, load {:.2f}, float, V = {}, B = {}, zipf exponent 1.05, threads {}\n{}",
             build_info().to_string(), repetitions, load, table_rows, lookups, threads(), legend);
  fmt::print("{:11} {:8} {:>5} {:>27} {:>27} {:>8} {:>18} {:>18}\n", "kernel", "ids", "D", "kernel", "copy", "time",
             "MB, no reuse", "MB, best");
  for (const Index columns : widths) measure_columns(columns, repetitions);
}
