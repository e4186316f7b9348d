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

/// Groups of `lanes` lanes read a row each, or 32 accesses of it where it has more, and every lane has several rows in
/// flight: all loads of an item are issued before its first store.
template <class Unit, int lanes>
__global__ void __launch_bounds__(threads) copy_rows(Shard<Unit> table, Ids ids, Unit zero, Output<Unit> out) {
  constexpr int in_flight = lanes == warp_size && sizeof(Unit) == 16 ? 4 : 8;
  constexpr int groups = warp_size / lanes;
  constexpr int rows = groups * in_flight;  // of an item
  constexpr int held = (rows + warp_size - 1) / warp_size;
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const int group = lane / lanes;
  const Index segments = lanes == warp_size ? (out.units + lanes - 1) / lanes : 1;
  const Index items = (out.count + rows - 1) / rows * segments;
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
    Unit values[in_flight];
    bool there[in_flight];
#pragma unroll
    for (int k = 0; k < in_flight; ++k) {
      const Index offset = __shfl_sync(whole_warp, offsets[k * groups / warp_size], (k * groups + group) % warp_size);
      there[k] = offset >= 0;
      values[k] = __ldg(from + std::max(offset, Index{0}));
    }
    Unit* to = out.data + (first + group) * out.stride + unit;
    const Index left = unit < out.units ? out.count - first - group : 0;
#pragma unroll
    for (int k = 0; k < in_flight; ++k, to += groups * out.stride) {
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
  const Index accesses = out.count * out.units;  // of which a thread has 4 or more in flight
  launch(copy_rows<Unit, lanes>,
         resident_grid(copy_rows<Unit, lanes>, (accesses + 4 * threads - 1) / (4 * threads), threads), threads, 0,
         cuda.stream, table, ids, zero, out);
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

#define TARTAN_INSTANTIATE_IDS(T, I) template void gather_rows(Cuda, Matrix<const T>, Index, const I*, Matrix<T>);
#define TARTAN_INSTANTIATE(T)             \
  TARTAN_INSTANTIATE_IDS(T, std::int32_t) \
  TARTAN_INSTANTIATE_IDS(T, std::int64_t)
TARTAN_FOR_EACH_ELEMENT_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE
#undef TARTAN_INSTANTIATE_IDS

}  // namespace tartan::kernels
