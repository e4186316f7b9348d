// The lookups on a GPU against a copy on the same GPU:
//   bench_cuda_gather [repetitions [scale]]
// Rows and lookups are divided by `scale`, for a GPU whose memory does not hold them all.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include <tartan/version.hpp>

#include "benchmarks/cuda_timing.hpp"
#include "kernels/bags.hpp"
#include "kernels/rows.hpp"
#include "kernels/tables.hpp"

namespace {

using namespace tartan;
using namespace tartan::benchmarks;
using namespace tartan::kernels;

constexpr Index most_lookups = 1'048'576;
constexpr std::size_t most_output = std::size_t{1} << 30;
constexpr std::size_t out_of_caches = std::size_t{1} << 28;  // bytes written before memory is written again

int repetitions = 50;
Index scale = 1;

/// Lists of ids in turn, so that no list finds in the caches what it read the time before.
class Lists {
 public:
  /// `tables` columns of `rows` rows each; an id's table is its position modulo their number.
  Lists(Law law, Index rows, Index lookups, Index tables) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      std::vector<Index> ids(static_cast<std::size_t>(lookups * tables));
      Index distinct = 0;
      for (Index f = 0; f < tables; ++f) {
        const auto column = draw_ids(law, rows, lookups, seed * 1000 + static_cast<std::uint64_t>(f));
        std::vector<bool> hit(static_cast<std::size_t>(rows));
        for (std::size_t i = 0; i < column.size(); ++i) {
          ids[i * static_cast<std::size_t>(tables) + static_cast<std::size_t>(f)] = column[i];
          hit[static_cast<std::size_t>(column[i])] = true;
        }
        distinct += static_cast<Index>(std::ranges::count(hit, true));
      }
      distinct_.push_back(distinct);
      lists_.emplace_back(ids);
    }
  }
  const Index* operator[](int i) const { return lists_[static_cast<std::size_t>(i) % lists_.size()].data(); }
  /// The distinct rows of a list, on average; all tables count alike.
  double distinct() const {
    return static_cast<double>(std::accumulate(distinct_.begin(), distinct_.end(), Index{0})) /
           static_cast<double>(distinct_.size());
  }

 private:
  std::vector<Array<Index>> lists_;
  std::vector<Index> distinct_;
};

const Lists& lists_of(Law law, Index rows, Index lookups, Index tables) {
  static std::map<std::tuple<Law, Index, Index, Index>, Lists> all;
  return all.try_emplace({law, rows, lookups, tables}, law, rows, lookups, tables).first->second;
}

struct Cell {
  std::string what;
  Law law;
  double lookups;
  double out_bytes;      ///< what a call writes
  double distinct_part;  ///< the distinct rows' part of it
  std::string target;
  double target_ratio = 0;  ///< of a copy, by the bytes that move without reuse; 0: none
  double target_time = 0;   ///< in milliseconds; 0: none
};

/// Times call(i, out), which writes `elements` elements to memory in turn, and a copy of as many, or of all that memory
/// where a call's share would fit caches. Prints a line.
template <class T, class Call>
void measure(const Cell& cell, Index elements, Call&& call) {
  const std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(T);
  const auto turns = static_cast<Index>(std::max<std::size_t>(2, out_of_caches / bytes + 1));
  const Array<T> out(turns * elements), source(turns * elements);
  const auto turn = [&](const Array<T>& array, int i) { return array.data() + i % turns * elements; };
  const auto time = milliseconds(repetitions, [&](int i) { call(i, turn(out, i)); });
  const auto copy = milliseconds(repetitions, [&](int i) {
    check(cudaMemcpyAsync(turn(out, i), turn(source, i), bytes, cudaMemcpyDeviceToDevice, stream()));
  });
  const double rate = 2 * static_cast<double>(bytes) / copy.median;
  const double id_bytes = cell.lookups * sizeof(Index);
  const double moved = 2 * cell.out_bytes + id_bytes;
  const double at_best = cell.out_bytes * (1 + cell.distinct_part) + id_bytes;
  const double ratio = moved / time.median / rate;
  std::string verdict;
  if (cell.target_ratio > 0) verdict = fmt::format("{:.2f} of it", ratio / cell.target_ratio);
  if (cell.target_time > 0) verdict = fmt::format("{:.2f} of it", time.median / cell.target_time);
  fmt::print("{:44} {:9} {:8.4f} {:8.4f} {:8.4f} {:8.4f} {:6.2f} {:7.1f} % {:7.1f} % {:9.1f}  {} {}\n", cell.what,
             name(cell.law), time.low, time.median, time.high, copy.median, rate * 1e-9, 100 * ratio,
             100 * at_best / time.median / rate, 1e-6 * cell.lookups / time.median, cell.target, verdict);
  std::fflush(stdout);
}

/// Rows of `columns` elements of one table.
template <class T>
void one_table(const std::string& what, Law law, Index rows, Index columns, const std::string& note = {}) {
  rows = std::max<Index>(1, rows / scale);
  const auto row_bytes = columns * static_cast<Index>(sizeof(T));
  const Index lookups = std::max<Index>(1, std::min(most_lookups, static_cast<Index>(most_output) / row_bytes) / scale);
  const Array<T> table(rows * columns);
  const Lists& ids = lists_of(law, rows, lookups, 1);
  Cell cell{fmt::format("{} {} x {}{}, {} ids", what, rows, columns, note, lookups),
            law,
            static_cast<double>(lookups),
            static_cast<double>(lookups * row_bytes),
            ids.distinct() / static_cast<double>(lookups),
            row_bytes >= 256   ? ">= 85 %:"
            : row_bytes >= 128 ? ">= 70 %:"
                               : ""};
  cell.target_ratio = row_bytes >= 256 ? 0.85 : row_bytes >= 128 ? 0.7 : 0;
  measure<T>(cell, lookups * columns, [&](int i, T* out) {
    gather_rows(Cuda{stream()}, Matrix<const T>{table.data(), rows, columns, columns}, Index{0}, ids[i],
                Matrix<T>{out, lookups, columns, columns});
  });
}

/// Tables of `rows` rows and these widths, looked up together.
void many_tables(const std::string& what, Law law, Index rows, const std::vector<Index>& widths, Index batch,
                 double target_time = 0) {
  rows = std::max<Index>(1, rows / scale);
  batch = std::max<Index>(1, batch / scale);
  const Index total = std::accumulate(widths.begin(), widths.end(), Index{0});
  const Index tables = std::ssize(widths);
  const Array<float> memory(rows * total);
  std::vector<TableColumns<float>> slots;
  Index column = 0;
  for (const Index width : widths) {
    slots.push_back({{memory.data() + rows * column, rows, width, width}, 0, column});
    column += width;
  }
  const Lists& ids = lists_of(law, rows, batch, tables);
  Cell cell{fmt::format("{}, {} ids", what, batch * tables),
            law,
            static_cast<double>(batch * tables),
            static_cast<double>(batch * total) * sizeof(float),
            ids.distinct() / static_cast<double>(batch * tables),
            target_time > 0 ? fmt::format("<= {} ms:", target_time) : ""};
  cell.target_time = target_time;
  measure<float>(cell, batch * total, [&](int i, float* out) {
    gather_tables<float>(Cuda{stream()}, slots, ids[i], Matrix<float>{out, batch, total, total});
  });
}

/// Sums of 16 rows.
void bags(Law law, Index rows, Index columns) {
  rows = std::max<Index>(1, rows / scale);
  constexpr Index hits = 16;
  const Index count = std::max<Index>(1, most_lookups / hits / scale);
  std::vector<Index> bounds(static_cast<std::size_t>(count) + 1);
  for (std::size_t b = 0; b < bounds.size(); ++b) bounds[b] = static_cast<Index>(b) * hits;
  const Array<Index> offsets(bounds);
  const Array<float> table(rows * columns);
  const Lists& ids = lists_of(law, rows, count * hits, 1);
  const auto row_bytes = static_cast<double>(columns) * sizeof(float);
  const auto lookups = static_cast<double>(count * hits);
  // As if it wrote half of what it reads and writes.
  const Cell cell{fmt::format("bag of 16, {} x {}, {} ids", rows, columns, count * hits),
                  law,
                  lookups,
                  (lookups + static_cast<double>(count)) * row_bytes / 2,
                  2 * (ids.distinct() + static_cast<double>(count)) / (lookups + static_cast<double>(count)) - 1,
                  ""};
  measure<float>(cell, count * columns, [&](int i, float* out) {
    sum_bags(Cuda{stream()}, Matrix<const float>{table.data(), rows, columns, columns}, Index{0}, ids[i],
             offsets.data(), nullptr, nullptr, Index{-1}, Matrix<float>{out, count, columns, columns});
  });
}

constexpr const char* legend =
    R"(gather: rows of a table by id; tables: of many tables together; bag: sums of 16 rows. ids of 64 bits; copy: of as many bytes
as are written, 256 MiB at least. Times in ms: lower quartile, median, upper quartile, and the copy's median, whose rate in TB/s
counts reads and writes. Fractions of that rate: by the bytes that move without reuse in a cache, and by those that move at best.
Millions of lookups a second. Targets are for an H200, fractions by the bytes without reuse; beside them, what was reached as a
part of the target.
)";

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) repetitions = std::max(1, std::atoi(argv[1]));
  if (argc > 2) scale = std::max<Index>(1, std::atoll(argv[2]));
  if (!found_device()) {
    fmt::print("not run on a GPU: there is none\n");
    return 0;
  }
  cudaDeviceProp device{};
  check(cudaGetDeviceProperties(&device, 0));
  fmt::print("{}\n{}, {} repetitions{}\n{}", build_info().to_string(), device.name, repetitions,
             scale > 1 ? fmt::format(", rows and lookups divided by {}", scale) : "", legend);
  fmt::print("{:44} {:9} {:>26} {:>8} {:>6} {:>9} {:>9} {:>9}  {}\n", "", "ids", "time", "copy", "TB/s", "no reuse",
             "best", "M ids/s", "target");

  for (const Law law : {Law::uniform, Law::zipf}) {
    for (const Index columns : {16, 32, 64, 128, 256, 768, 1024}) one_table<float>("gather", law, 1'000'000, columns);
  }
  many_tables("tables 10 x 1,677,721 x 128", Law::zipf, 1'677'721, std::vector<Index>(10, 128), 104'857, 0.27);
  many_tables("tables 10 x 1,677,721 x 128", Law::uniform, 1'677'721, std::vector<Index>(10, 128), 104'857);
  // Pairs of 16-bit elements, which are copied alike.
  for (const Law law : {Law::uniform, Law::zipf}) {
    one_table<std::int32_t>("gather", law, 128'256, 4096 / 2, " pairs of 16 bits");
    one_table<std::int32_t>("gather", law, 151'936, 8192 / 2, " pairs of 16 bits");
  }
  std::vector<Index> up_to_32(32);
  std::iota(up_to_32.begin(), up_to_32.end(), 1);
  many_tables("tables 1,000,000 x 1 to 32", Law::zipf, 1'000'000, up_to_32, 65'536);
  for (const Index columns : {1, 2, 3, 4, 8, 16, 32}) {
    many_tables(fmt::format("tables 26 x 1,000,000 x {}", columns), Law::zipf, 1'000'000,
                std::vector<Index>(26, columns), 65'536);
  }
  for (const Law law : {Law::uniform, Law::zipf}) {
    for (const Index columns : {16, 128}) bags(law, 1'000'000, columns);
  }
}
