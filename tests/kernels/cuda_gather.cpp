// Gathers on a CUDA device against the naive ones, bit for bit.

#include <algorithm>
#include <limits>

#include "cuda_storage.hpp"
#include "kernels/cpu/reference.hpp"
#include "kernels/rows.hpp"
#include "kernels/tables.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

/// gather_rows() of `ids` from `table` into an output whose rows lie `gap` elements apart, `offset` after an aligned
/// one.
template <class T, class I>
void check_gather(const Storage<T>& table, Index first_row, const std::vector<I>& ids, Index gap, Index offset) {
  Storage<T> expected{std::ssize(ids), table.read().columns, gap, offset};
  const CudaStorage<T> table_there(table);
  CudaStorage<T> out(expected);
  const auto ids_there = there(ids);
  reference::gather_rows(table.read(), first_row, ids.data(), expected.view());
  on(gpu(), [&](auto where) { gather_rows(where, table_there.read(), first_row, ids_there.data(), out.view()); });
  INFO("columns " << table.read().columns << " ids " << ids.size() << " gap " << gap << " offset " << offset);
  REQUIRE(out == expected);
}

/// Ids of the shard and around it, some far from it, the lower ones often.
template <class I>
std::vector<I> ids_around(Index count, Index first_row, Index rows) {
  auto ids = skewed_ids<I>(count, first_row - 8, first_row + rows + 8);
  ids.insert(ids.end(), {I{0}, I{-1}, std::numeric_limits<I>::min(), std::numeric_limits<I>::max(),
                         static_cast<I>(first_row), static_cast<I>(first_row + rows - 1)});
  return ids;
}

template <class T, class I>
void check_widths() {
  constexpr Index first_row = 90, rows = 23;
  const auto ids = ids_around<I>(61, first_row, rows);
  for (const Index columns : widths()) {
    check_gather(Storage<T>{rows, columns, columns % 3, columns % 5}, first_row, ids, columns % 4, columns % 7);
  }
}

TEST_CASE("gathers on a CUDA device copy the shard's rows and give rows of -0.0 for the others", "[kernels][cuda]") {
  check_widths<float, std::int32_t>();
  check_widths<double, std::int64_t>();
  check_widths<bfloat16, std::int32_t>();
  check_widths<half, std::int64_t>();
  check_widths<std::int32_t, std::int64_t>();
  check_widths<std::int64_t, std::int32_t>();
}

TEST_CASE("gathers use no wider accesses than all addresses allow", "[kernels][cuda]") {
  const auto ids = ids_around<Index>(37, 5, 11);
  for (const Index columns : {4, 6, 8, 32, 64, 132}) {
    for (const Index table_gap : {0, 1, 2, 4}) {
      for (const Index gap : {0, 2, 8}) {
        for (const auto& [table_offset, offset] : {std::pair<Index, Index>{0, 0}, {1, 0}, {0, 2}, {4, 8}, {2, 2}}) {
          check_gather(Storage<float>{11, columns, table_gap, table_offset}, 5, ids, gap, offset);
        }
      }
    }
  }
}

TEST_CASE("gathers of any number of ids on a CUDA device", "[kernels][cuda]") {
  for (const Index columns : {1, 3, 4, 16, 24, 100, 128, 300}) {
    const Storage<float> table{50, columns};
    for (const Index count : {1, 2, 3, 4, 5, 31, 32, 33, 63, 255, 256, 257, 1025}) {
      check_gather(table, 0, skewed_ids<std::int32_t>(count, 0, 50), 0, 0);
    }
  }
}

TEST_CASE("gathers of more rows than a device has threads at once", "[kernels][cuda]") {
  const Storage<float> narrow{400, 3}, wide{400, 36};
  check_gather(narrow, 100, skewed_ids<Index>(40'000, 90, 510), 1, 0);
  check_gather(wide, 100, skewed_ids<std::int32_t>(20'000, 90, 510), 0, 0);
}

TEST_CASE("a gather from an empty shard on a CUDA device, and gathers of nothing", "[kernels][cuda]") {
  const std::vector<Index> ids{0, 5, -1, 4};
  for (const Index columns : {1, 9, 64, 130}) check_gather(Storage<float>{0, columns}, 5, ids, 1, 0);
  check_gather(Storage<float>{8, 0}, 0, ids, 0, 0);
  check_gather(Storage<double>{8, 5}, 0, std::vector<Index>{}, 0, 0);
}

TEST_CASE("gathers from and to more elements than 32 bits count, where a CUDA device has the memory",
          "[kernels][cuda][large]") {
  constexpr Index columns = 64, count = (Index{1} << 31) / columns + 5, written = 3;
  Tensor<float> table, out;
  try {
    table = Tensor<float>(Shape{count * columns}, gpu());
    out = Tensor<float>(Shape{count * columns}, gpu());
  } catch (const CudaError&) {
    WARN("a device with less than 18 GB: not tried");
    return;
  }
  constexpr std::size_t bytes = written * columns * sizeof(float);
  const Storage<float> rows{written, columns};
  Storage<float> last{written, columns, 0, 0, 2};
  device::copy(gpu(), table.data() + (count - written) * columns, Device{}, rows.read().data, bytes);
  std::vector<Index> ids(count, 0);
  for (Index i = 0; i < written; ++i) ids[count - written + i] = count - written + i;
  const auto ids_there = there(ids);
  const Matrix<const float> from{std::as_const(table).data(), count, columns, columns};
  const Matrix<float> to{out.data(), count, columns, columns};
  on(gpu(), [&](auto where) { gather_rows(where, from, 0, ids_there.data(), to); });
  device::copy(Device{}, last.view().data, gpu(), out.data() + (count - written) * columns, bytes);
  REQUIRE(last == rows);

  const std::vector<TableColumns<float>> tables{{from, 0, 0}};
  out.fill(0);
  on(gpu(), [&](auto where) { gather_tables<float>(where, tables, ids_there.data(), to); });
  device::copy(Device{}, last.view().data, gpu(), out.data() + (count - written) * columns, bytes);
  REQUIRE(last == rows);
}

}  // namespace
}  // namespace tartan::kernels
