// The ordered backward on a GPU against a copy on the same GPU, and against atomic additions:
//   bench_cuda_scatter_add [repetitions]
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include <tartan/version.hpp>

#include "benchmarks/cuda_timing.hpp"
#include "kernels/row_updates.hpp"
#include "kernels/rows.hpp"

namespace {

using namespace tartan;
using namespace tartan::benchmarks;
using namespace tartan::kernels;

int repetitions = 50;

template <class Call>
double median(Call&& call) {
  return milliseconds(repetitions, [&](int) { call(); }).median;
}

/// Bytes read and written by a copy in a millisecond: of 1 GiB.
double copy_rate() {
  const Array<std::byte> from(Index{1} << 30), to(Index{1} << 30);
  const double time =
      median([&] { check(cudaMemcpyAsync(to.data(), from.data(), from.bytes(), cudaMemcpyDeviceToDevice, stream())); });
  return 2 * static_cast<double>(from.bytes()) / time;
}

void line(const std::string& cell, double time, const std::string& ratio, const std::string& target) {
  fmt::print("{:64} {:9.4f} ms  {:44} {}\n", cell, time, ratio, target);
  std::fflush(stdout);
}

/// Adds the contributions of ids to rows of a table, planned, with the plan, and by atomic additions.
void scatter(double rate, Law law, Index rows, Index count, Index columns) {
  const Cuda where{stream()};
  const Array<Index> ids(draw_ids(law, rows, count));
  const Array<float> terms(count * columns), table(rows * columns);
  const Matrix<const float> from{terms.data(), count, columns, columns};
  const Matrix<float> to{table.data(), rows, columns, columns};
  const auto make = [&] { return plan_rows(where, ids.data(), count, Index{0}, rows, Index{-1}); };
  const auto plan = make();

  const double folded = median([&] { accumulate_rows(where, plan, from, to); });
  const double whole = median([&] { accumulate_rows(where, make(), from, to); });
  const double atomic =
      median([&] { accumulate_rows_atomic(where, ids.data(), count, Index{0}, Index{-1}, from, to); });

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
  const Cuda where{stream()};
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
  const double planned = median([&] { sgd_rows<float>(where, plan, from, 0.1F, to); });
  const double whole = median([&] { sgd_rows<float>(where, make(), from, 0.1F, to); });
  const std::string cell = "backward + SGD, 10 x 1,677,721 x 128, 1,048,570 ids, zipf 1.05";
  line(cell, whole, fmt::format("{:.2f} of copy", best / whole / rate),
       fmt::format("<= 0.35 ms: {:.2f} of it", whole / 0.35));
  line("  planned in forward", planned, fmt::format("{:.2f} of copy", best / planned / rate),
       fmt::format("<= 0.35 ms: {:.2f} of it", planned / 0.35));

  const Array<float> state(to.rows * columns);
  const Matrix<float> sums{state.data(), to.rows, columns, columns};
  line("  Adagrad, planned", median([&] { adagrad_rows<float>(where, plan, from, 0.1F, 1e-8F, sums, to); }), "", "");
  line("  row-wise Adagrad, planned",
       median([&] { rowwise_adagrad_rows<float>(where, plan, from, 0.1F, 1e-8F, state.data(), to); }), "", "");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) repetitions = std::max(1, std::atoi(argv[1]));
  if (!found_device()) {
    fmt::print("not run on a GPU: there is none\n");
    return 0;
  }
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
