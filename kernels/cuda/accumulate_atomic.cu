#include <algorithm>

#include "base/element_types.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/row_hit.hpp"
#include "kernels/cuda/row_lanes.hpp"
#include "kernels/rows.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;

/// Devices from sm_90 on add four floats at once.
template <class Vector>
concept AddsAtomically = requires(Vector* sum, Vector term) {
  atomicAdd(sum, term);
};

template <class T, bool aligned>
__device__ void add_atomically(T* row, const LaneColumns<T, aligned>& columns, const Sums<T>& term) {
  if constexpr (aligned && std::is_same_v<T, float> && AddsAtomically<float4>) {
    if (columns.has(0)) atomicAdd(reinterpret_cast<float4*>(row + columns.begin), std::bit_cast<float4>(term));
  } else {
    for (int e = 0; e < per_lane<T>; ++e) {
      if (columns.has(e)) atomicAdd(row + columns[e], term.values[e]);
    }
  }
}

/// A warp takes 32 ids, adds up what hits the same row, and its groups of lanes add the sums to the table.
template <class T, bool aligned, class I>
__global__ void add_hits(const I* ids, Index count, Index first_row, Index padding, Contributions<T> contributions,
                         Matrix<T> table, int lane_bits, Index tiles) {
  const Lanes lanes(lane_bits);
  const int lane = static_cast<int>(threadIdx.x) % 32, groups = 32 >> lane_bits, group = lane >> lane_bits;
  for (Index begin = grid_thread() - lane; begin < count; begin += grid_threads()) {
    const Index row = begin + lane < count ? row_hit(ids[begin + lane], first_row, table.rows, padding) : table.rows;
    const unsigned alike = __match_any_sync(~0u, static_cast<unsigned long long>(row));
    unsigned firsts = __ballot_sync(~0u, row < table.rows && __ffs(static_cast<int>(alike)) - 1 == lane);
    while (firsts != 0) {
      unsigned from_mine = firsts;
      for (int g = 0; g < groups; ++g) {
        if (g < group) from_mine &= from_mine - 1;
        firsts &= firsts - 1;
      }
      const int first = std::max(__ffs(static_cast<int>(from_mine)) - 1, 0);
      const unsigned hits = __shfl_sync(~0u, alike, first);
      const Index target = __shfl_sync(~0u, row, first);
      if (from_mine == 0) continue;
      for (Index tile = 0; tile < tiles; ++tile) {
        const LaneColumns<T, aligned> columns(lanes, tile, table.columns);
        Sums<T> sum{};
        for (unsigned rest = hits; rest != 0; rest &= rest - 1) {
          const Index i = begin + __ffs(static_cast<int>(rest)) - 1;
          const Index source = contributions.source != nullptr ? contributions.source[i] : i;
          const T factor = contributions.factors != nullptr ? contributions.factors[i] : T{1};
          const auto term = load<T, aligned>(contributions.rows.data + source * contributions.rows.stride, columns);
          for (int e = 0; e < per_lane<T>; ++e) sum.values[e] += factor * term.values[e];
        }
        add_atomically<T, aligned>(table.data + target * table.stride, columns, sum);
      }
    }
  }
}

}  // namespace

template <class T, class I>
void accumulate_rows_atomic(Cuda where, const I* ids, Index count, Index first_row, Index padding,
                            std::type_identity_t<Contributions<T>> contributions, Matrix<T> table) {
  if (count == 0 || table.rows == 0 || table.columns == 0) return;
  const bool aligned = rows_aligned(contributions.rows) && rows_aligned(table);
  launch(aligned ? add_hits<T, true, I> : add_hits<T, false, I>, grid_for(count, threads), threads, 0, where.stream,
         ids, count, first_row, padding, contributions, table, plan_layout::lane_bits(table.columns, per_lane<T>),
         plan_layout::column_tiles(table.columns, per_lane<T>));
}

#define TARTAN_INSTANTIATE(T, I) \
  template void accumulate_rows_atomic(Cuda, const I*, Index, Index, Index, Contributions<T>, Matrix<T>);
TARTAN_INSTANTIATE(float, std::int32_t)
TARTAN_INSTANTIATE(float, std::int64_t)
TARTAN_INSTANTIATE(double, std::int32_t)
TARTAN_INSTANTIATE(double, std::int64_t)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
