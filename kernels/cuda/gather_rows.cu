#include <algorithm>
#include <type_traits>

#include "base/element_types.hpp"
#include "kernels/cuda/access.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/rows.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;

/// `count` rows of `units` accesses.
template <class Unit>
struct Output {
  Unit* data;
  Index count;
  Index units;
  Index stride;
};

/// How many rows a lane has in flight.
template <class Unit, int lanes>
constexpr int in_flight = lanes == warp_size && sizeof(Unit) == 16 ? 4 : 8;

/// What a warp does at a time: this many rows, or 32 accesses of each where they have more.
template <class Unit, int lanes>
constexpr int item_rows = warp_size / lanes* in_flight<Unit, lanes>;

constexpr Index segments_of(Index units) { return (units + warp_size - 1) / warp_size; }

template <class Unit, int lanes>
constexpr Index items_of(const Output<Unit>& out) {
  return (out.count + item_rows<Unit, lanes> - 1) / item_rows<Unit, lanes> * segments_of(out.units);
}

/// Groups of `lanes` lanes read a row each, or 32 accesses of it where it has more, and every lane has several rows in
/// flight: all loads of an item are issued before its first store.
template <class Unit, int lanes>
__global__ void __launch_bounds__(threads) copy_rows(Shard<Unit> table, Ids ids, Unit zero, Output<Unit> out) {
  constexpr int rows_in_flight = in_flight<Unit, lanes>;
  constexpr int groups = warp_size / lanes;
  constexpr int rows = item_rows<Unit, lanes>;
  constexpr int held = (rows + warp_size - 1) / warp_size;
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const int group = lane / lanes;
  const Index segments = lanes == warp_size ? segments_of(out.units) : 1;
  const Index items = items_of<Unit, lanes>(out);
  for (Index item = grid_thread() / warp_size; item < items; item += grid_threads() / warp_size) {
    const Index first = item / segments * rows;
    const Index unit = item % segments * lanes + lane % lanes;
    Index offsets[held];  // of row `first` + h · 32 + lane
#pragma unroll
    for (int h = 0; h < held; ++h)
      offsets[h] = ids[std::min(first + std::min(h * warp_size + lane, rows - 1), out.count - 1)];
#pragma unroll
    for (int h = 0; h < held; ++h) offsets[h] = table.offset(offsets[h]);
    const Unit* from = table.data + std::min(unit, out.units - 1);
    Unit values[rows_in_flight];
    bool there[rows_in_flight];
#pragma unroll
    for (int k = 0; k < rows_in_flight; ++k) {
      const Index offset = __shfl_sync(whole_warp, offsets[k * groups / warp_size], (k * groups + group) % warp_size);
      there[k] = offset >= 0;
      values[k] = __ldg(from + std::max(offset, Index{0}));
    }
    Unit* to = out.data + (first + group) * out.stride + unit;
    const Index left = unit < out.units ? out.count - first - group : 0;
#pragma unroll
    for (int k = 0; k < rows_in_flight; ++k, to += groups * out.stride) {
      if (k * groups < left) __stcs(to, there[k] ? values[k] : zero);
    }
  }
}

/// Enqueues the copy by groups of `wanted` lanes, which is a power of two.
template <class Unit, int lanes = warp_size>
void enqueue_copy(Cuda cuda, int wanted, const Shard<Unit>& table, Ids ids, Unit zero, const Output<Unit>& out) {
  if constexpr (lanes > 1) {
    if (wanted < lanes) return enqueue_copy<Unit, lanes / 2>(cuda, wanted, table, ids, zero, out);
  }
  const Index blocks = (items_of<Unit, lanes>(out) * warp_size + threads - 1) / threads;
  launch(copy_rows<Unit, lanes>, resident_grid(copy_rows<Unit, lanes>, blocks, threads), threads, 0, cuda.stream, table,
         ids, zero, out);
}

}  // namespace

template <class T, class I>
void gather_rows(Cuda cuda, Matrix<const T> table, Index first_row, const I* ids, Matrix<T> out) {
  constexpr auto size = static_cast<Index>(sizeof(T));
  if (out.rows == 0 || out.columns == 0) return;
  const auto bytes = access_bytes({table.data, out.data}, {table.stride * size, out.stride * size, out.columns * size});
  with_access(bytes, [&]<class Unit>(std::type_identity<Unit>) {
    const auto in_units = [](Index elements) { return elements * size / static_cast<Index>(sizeof(Unit)); };
    const Index units = in_units(out.columns);
    const auto rows = shard_of<Unit>(table, first_row, -1, out.data);
    const Output<Unit> to{reinterpret_cast<Unit*>(out.data), out.rows, units, in_units(out.stride)};
    enqueue_copy(cuda, lanes_for(units), rows, ids_of(ids), absent<Unit, T>(), to);
  });
}

#define TARTAN_INSTANTIATE(T, I) template void gather_rows(Cuda, Matrix<const T>, Index, const I*, Matrix<T>);
TARTAN_FOR_EACH_LOOKUP(TARTAN_INSTANTIATE)
TARTAN_WITH_IDS(TARTAN_INSTANTIATE, std::int32_t)
TARTAN_WITH_IDS(TARTAN_INSTANTIATE, std::int64_t)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
