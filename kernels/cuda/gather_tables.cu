#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "base/element_types.hpp"
#include "kernels/cuda/access.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/tables.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;
constexpr int most_slots = 64;

/// A table among those of a launch. Distances and columns are counted in units, the widest accesses that fit all rows.
struct Slot {
  const void* data;
  std::uint64_t first_row;
  std::uint64_t rows;
  Index stride;
  Index begin;   ///< the units of the slots before
  Index out;     ///< where its columns begin in a row of the output
  Index column;  ///< of the ids
};

/// Tables in the order of their columns in the output, as many as the arguments of a kernel have room for.
struct Slots {
  Slot slot[most_slots];
  int count;
  Index units;    ///< of all of them
  Index columns;  ///< of the ids
};

template <class Unit>
struct Output {
  Unit* data;
  Index rows;
  Index stride;
};

/// A thread writes the same columns of several rows that lie far apart, so that each row is written without gaps by
/// neighbours: a unit of it or, where all columns lie side by side, several, which may be of consecutive lookups. All
/// its loads are issued before its first store.
template <class Store, class Unit>
__global__ void __launch_bounds__(threads) copy_columns(Slots tables, Ids ids, Unit zero, Output<Unit> out) {
  constexpr int pieces = sizeof(Store) / sizeof(Unit);
  constexpr int in_flight = pieces <= 2 ? 4 : 2;
  __shared__ Slot slots[most_slots + 1];
  for (int f = static_cast<int>(threadIdx.x); f < tables.count; f += threads) slots[f] = tables.slot[f];
  if (threadIdx.x == 0) slots[tables.count].begin = tables.units;
  __syncthreads();

  const Index stores = tables.units / pieces;  // of a row
  const Index apart = (out.rows + in_flight - 1) / in_flight;
  for (Index i = grid_thread(); i < apart * stores; i += grid_threads()) {
    const Index row = i / stores;
    const Index unit = (i - row * stores) * pieces;
    int f = 0;
#pragma unroll
    for (int half = most_slots / 2; half > 0; half /= 2) {
      if (f + half < tables.count && slots[f + half].begin <= unit) f += half;
    }
    Unit* const to = out.data + row * out.stride + slots[f].out + unit - slots[f].begin;
    int slot[pieces];
    Index id[pieces][in_flight];
#pragma unroll
    for (int p = 0; p < pieces; ++p) {
      if (p > 0) f += unit + p == slots[f + 1].begin ? 1 : 0;
      slot[p] = f;
#pragma unroll
      for (int k = 0; k < in_flight; ++k) {
        id[p][k] = ids[std::min(row + k * apart, out.rows - 1) * tables.columns + slots[f].column];
      }
    }
    Unit values[in_flight][pieces];
    bool there[in_flight][pieces];
#pragma unroll
    for (int p = 0; p < pieces; ++p) {
      const Slot& table = slots[slot[p]];
      const Unit* const from = static_cast<const Unit*>(table.data) + unit + p - table.begin;
#pragma unroll
      for (int k = 0; k < in_flight; ++k) {
        const std::uint64_t local = static_cast<std::uint64_t>(id[p][k]) - table.first_row;
        there[k][p] = local < table.rows;
        values[k][p] = __ldg(from + (there[k][p] ? static_cast<Index>(local) * table.stride : 0));
      }
    }
#pragma unroll
    for (int k = 0; k < in_flight; ++k) {
#pragma unroll
      for (int p = 0; p < pieces; ++p) values[k][p] = there[k][p] ? values[k][p] : zero;
      Store value;
      std::memcpy(&value, values[k], sizeof(Store));
      if (row + k * apart < out.rows) __stcs(reinterpret_cast<Store*>(to + k * apart * out.stride), value);
    }
  }
}

template <class Store, class Unit>
void enqueue_copy(Cuda cuda, const Slots& tables, Ids ids, Unit zero, const Output<Unit>& out) {
  constexpr int units = 2 * threads * (sizeof(Store) / sizeof(Unit));  // or more are a block's
  const Index blocks = (out.rows * tables.units + units - 1) / units;
  launch(copy_columns<Store, Unit>, resident_grid(copy_columns<Store, Unit>, blocks, threads), threads, 0, cuda.stream,
         tables, ids, zero, out);
}

/// Gathers `tables`, which are ordered by their columns in `out` and none of which is without columns.
template <class T>
void gather(Cuda cuda, std::span<const TableColumns<T>> tables, std::span<const Index> id_columns, Index ids_per_row,
            Ids ids, Matrix<T> out) {
  constexpr auto size = static_cast<Index>(sizeof(T));
  const Index begin = tables.front().out_column * size;
  Index end = begin;
  bool side_by_side = true;
  std::size_t bytes = access_bytes({out.data}, {out.stride * size});
  for (const auto& [table, first_row, out_column] : tables) {
    const Index width = table.columns * size;
    bytes = std::min(bytes, access_bytes({table.data}, {table.stride * size, out_column * size, width}));
    side_by_side = side_by_side && out_column * size == end;
    end = out_column * size + width;
  }
  const bool whole = side_by_side && access_bytes({out.data}, {out.stride * size, begin, end - begin}) == 16;
  with_access(bytes, [&]<class Unit>(std::type_identity<Unit>) {
    const auto in_units = [](Index elements) { return elements * size / static_cast<Index>(sizeof(Unit)); };
    Slots slots{};
    slots.columns = ids_per_row;
    for (const auto& [table, first_row, out_column] : tables) {
      const void* readable = table.rows > 0 ? static_cast<const void*>(table.data) : out.data;
      slots.slot[slots.count] = {readable,
                                 static_cast<std::uint64_t>(first_row),
                                 static_cast<std::uint64_t>(table.rows),
                                 in_units(table.stride),
                                 slots.units,
                                 in_units(out_column),
                                 id_columns[static_cast<std::size_t>(slots.count)]};
      ++slots.count;
      slots.units += in_units(table.columns);
    }
    const Output<Unit> to{reinterpret_cast<Unit*>(out.data), out.rows, in_units(out.stride)};
    const auto zero = absent<Unit, T>();
    whole ? enqueue_copy<Access<16>>(cuda, slots, ids, zero, to) : enqueue_copy<Unit>(cuda, slots, ids, zero, to);
  });
}

}  // namespace

template <class T, class I>
void gather_tables(Cuda cuda, std::span<const TableColumns<T>> tables, const I* ids, Matrix<T> out) {
  std::vector<Index> order;  // of the columns in the output
  for (Index f = 0; f < std::ssize(tables); ++f) {
    if (tables[static_cast<std::size_t>(f)].table.columns > 0) order.push_back(f);
  }
  const auto table = [&](Index f) { return tables[static_cast<std::size_t>(f)]; };
  std::ranges::sort(order, {}, [&](Index f) { return table(f).out_column; });
  if (out.rows == 0) return;
  for (std::size_t first = 0; first < order.size(); first += most_slots) {
    const std::span<const Index> columns =
        std::span(order).subspan(first, std::min<std::size_t>(most_slots, order.size() - first));
    std::vector<TableColumns<T>> some;
    for (const Index f : columns) some.push_back(table(f));
    gather<T>(cuda, some, columns, std::ssize(tables), ids_of(ids), out);
  }
}

#define TARTAN_INSTANTIATE(T, I) \
  template void gather_tables(Cuda, std::span<const TableColumns<T>>, const I*, Matrix<T>);
TARTAN_FOR_EACH_LOOKUP(TARTAN_INSTANTIATE)
TARTAN_WITH_IDS(TARTAN_INSTANTIATE, std::int32_t)
TARTAN_WITH_IDS(TARTAN_INSTANTIATE, std::int64_t)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
