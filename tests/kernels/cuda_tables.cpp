// Lookups in many tables on a CUDA device against the naive ones, bit for bit.

#include <algorithm>

#include "cuda_storage.hpp"
#include "kernels/cpu/reference.hpp"
#include "kernels/tables.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

struct Layout {
  Index gap = 0;         ///< columns of the output between two tables
  Index row_gap = 0;     ///< after the last
  Index offset = 0;      ///< of the output in its memory
  bool turned = false;   ///< the first table goes to the last columns
  bool strided = false;  ///< the tables' rows lie apart, and begin at odd addresses
};

/// Tables of these widths, each a shard of its own rows: every third has no rows.
template <class T, class I>
void check_tables(const std::vector<Index>& columns, Index count, const Layout& layout) {
  const Index tables = std::ssize(columns);
  std::vector<Storage<T>> storage;
  std::vector<CudaStorage<T>> storage_there;
  std::vector<I> ids(count * tables);
  Index total = 0;
  for (Index f = 0; f < tables; ++f) {
    const Index first_row = 10 * f, rows = f % 3 == 2 ? 0 : 3 + 20 * (f % 3);
    storage.emplace_back(rows, columns[f], layout.strided ? f % 3 : 0, layout.strided ? f % 2 : 0, f + 1);
    storage_there.emplace_back(storage.back());
    const auto column = skewed_ids<I>(count, first_row - 2, first_row + rows + 2, f + 1);
    for (Index i = 0; i < count; ++i) ids[i * tables + f] = column[i];
    total += columns[f] + layout.gap;
  }
  Storage<T> expected{count, total, layout.row_gap, layout.offset};
  CudaStorage<T> out(expected);
  std::vector<TableColumns<T>> slots;
  Index begin = 0, end = total;
  for (Index f = 0; f < tables; ++f) {
    const Index width = columns[f] + layout.gap;
    const Index out_column = layout.turned ? end -= width : begin;
    begin += width;
    slots.push_back({storage_there[f].read(), 10 * f, out_column});
    std::vector<I> column(count);
    for (Index i = 0; i < count; ++i) column[i] = ids[i * tables + f];
    const auto all = expected.view();
    reference::gather_rows(storage[f].read(), 10 * f, column.data(),
                           Matrix<T>{all.data + out_column, count, columns[f], all.stride});
  }
  const auto ids_there = there(ids);
  on(gpu(), [&](auto where) { gather_tables<T>(where, slots, ids_there.data(), out.view()); });
  INFO("tables " << tables << " count " << count << " gap " << layout.gap << " row gap " << layout.row_gap << " offset "
                 << layout.offset << (layout.turned ? " turned" : "") << (layout.strided ? " strided" : ""));
  REQUIRE(out == expected);
}

const std::vector<Layout> layouts{{},
                                  {.row_gap = 4},
                                  {.gap = 1, .row_gap = 2},
                                  {.row_gap = 1, .offset = 3},
                                  {.turned = true, .strided = true},
                                  {.gap = 4, .offset = 4, .turned = true}};

TEST_CASE("tables gathered together on a CUDA device are those gathered one by one", "[kernels][cuda]") {
  for (const auto& layout : layouts) {
    for (const Index count : {0, 1, 2, 3, 5, 33, 100}) {
      check_tables<float, std::int32_t>({}, count, layout);
      check_tables<float, std::int64_t>({5}, count, layout);
      check_tables<float, std::int64_t>({8, 128, 4, 16}, count, layout);
      check_tables<double, std::int64_t>({4, 4}, count, layout);
      check_tables<bfloat16, std::int64_t>({8, 1, 5, 2}, count, layout);
      check_tables<half, std::int32_t>({8, 64, 16}, count, layout);
      check_tables<double, std::int32_t>({1, 3, 2, 2}, count, layout);
      check_tables<std::int32_t, std::int64_t>({16, 0, 1, 128, 3, 60, 64}, count, layout);
    }
  }
}

TEST_CASE("narrow tables side by side on a CUDA device, and more than a launch takes", "[kernels][cuda]") {
  std::vector<Index> up_to_32;
  for (Index columns = 1; columns <= 32; ++columns) up_to_32.push_back(columns);
  for (const auto& layout : layouts) {
    check_tables<float, std::int64_t>(up_to_32, 7, layout);
    check_tables<float, std::int32_t>({1, 1, 1, 1, 1, 1, 1, 1}, 70, layout);
    check_tables<float, std::int32_t>({1, 2, 3, 1, 1}, 70, layout);
    check_tables<float, std::int32_t>(std::vector<Index>(130, 1), 5, layout);
    check_tables<std::int64_t, std::int32_t>(widths(), 3, layout);
  }
}

TEST_CASE("more lookups in tables than a device has threads at once", "[kernels][cuda]") {
  check_tables<float, std::int64_t>({16, 64, 20}, 3000, {});
  check_tables<float, std::int32_t>({1, 2, 1}, 20'000, {});
}

}  // namespace
}  // namespace tartan::kernels
