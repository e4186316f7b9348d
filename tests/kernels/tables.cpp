#include "kernels/tables.hpp"

#include "kernels/cpu/reference.hpp"
#include "storage.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

/// Tables of every width, in the order of the list, each a shard of its own rows, `gap` columns from one to the next.
template <class T, class I>
void check_tables(const std::vector<Index>& columns, Index count, Index gap = 1) {
  const Index tables = std::ssize(columns);
  std::vector<Storage<T>> storage;
  std::vector<TableColumns<T>> slots;
  std::vector<I> ids(count * tables);
  Index total = 0;
  for (Index f = 0; f < tables; ++f) {
    const Index first_row = 10 * f, rows = 3 + 40 * (f % 3);
    storage.emplace_back(rows, columns[f], f % 3, f % 2, f + 1);
    const auto column = skewed_ids<I>(count, first_row - 2, first_row + rows + 2, f + 1);
    for (Index i = 0; i < count; ++i) ids[i * tables + f] = column[i];
    total += columns[f] + gap;
  }
  Index out_column = 0;
  for (Index f = 0; f < tables; ++f) {
    slots.push_back({storage[f].read(), 10 * f, out_column});
    out_column += columns[f] + gap;
  }
  Storage<T> out{count, total, 2 * gap}, expected = out;
  gather_tables<T>(Cpu{}, slots, ids.data(), out.view());
  for (Index f = 0; f < tables; ++f) {
    std::vector<I> column(count);
    for (Index i = 0; i < count; ++i) column[i] = ids[i * tables + f];
    const auto all = expected.view();
    reference::gather_rows(slots[f].table, slots[f].first_row, column.data(),
                           Matrix<T>{all.data + slots[f].out_column, count, columns[f], all.stride});
  }
  INFO("tables " << tables << " count " << count);
  REQUIRE(out == expected);
}

TEST_CASE("tables gathered together are those gathered one by one", "[kernels]") {
  for (const Index count : {0, 1, 31, 32, 33, 64, 200}) {
    check_tables<float, std::int32_t>({}, count);
    check_tables<float, std::int64_t>({5}, count);
    check_tables<double, std::int64_t>({4, 4}, count);
    check_tables<bfloat16, std::int64_t>({16, 3, 1, 128, 33, 2}, count);
    check_tables<half, std::int32_t>({5, 8}, count);
    check_tables<std::int32_t, std::int64_t>({16, 0, 1, 128, 3, 600, 64}, count);
    check_tables<std::int64_t, std::int32_t>(widths(), count);
  }
}

TEST_CASE("tables gathered into outputs too large for the caches have the same bits", "[kernels]") {
  check_tables<float, std::int64_t>({16, 64, 80, 128}, 20'000, 0);
  check_tables<float, std::int64_t>({16, 60, 84, 128}, 20'000, 0);
  check_tables<float, std::int64_t>({16, 60, 84, 128}, 20'000, 16);
  check_tables<double, std::int32_t>({64}, 20'000, 0);
}

}  // namespace
}  // namespace tartan::kernels
