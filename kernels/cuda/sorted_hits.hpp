#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/plan_arrays.hpp"
#include "kernels/cuda/plan_layout.hpp"

/// From hits that are sorted by row to the arrays of a plan: blocks measure their ranges, the measures are joined from
/// the left, and blocks write what they have, knowing what is before.
///
/// `key(i)` is the row of hit i, and `rows` for what is no hit; such are behind all hits. `position(i)` is its id's.
namespace tartan::kernels {

/// What a range of consecutive hits holds.
struct Span {
  Index begin;
  Index hits;
  Index heads;   ///< hits that are the first of their row
  Index first;   ///< the first of them, or where the hits end
  Index last;    ///< the last of them
  Index chunks;  ///< chunks that begin at or behind `first`
};

/// How many multiples of 64, counted from `head`, lie in [begin, end).
__device__ inline Index chunks_between(Index head, Index begin, Index end) {
  constexpr Index round_up = plan_layout::chunk - 1;
  return ((end - head + round_up) >> plan_layout::chunk_bits) - ((begin - head + round_up) >> plan_layout::chunk_bits);
}

/// The range of `a` and, right behind it, `b`.
__device__ inline Span joined(const Span& a, const Span& b) {
  if (a.hits == 0) return b;
  if (b.hits == 0) return a;
  return {.begin = a.begin,
          .hits = a.hits + b.hits,
          .heads = a.heads + b.heads,
          .first = a.heads > 0 ? a.first : b.first,
          .last = b.heads > 0 ? b.last : a.last,
          .chunks = a.chunks + b.chunks + (a.heads > 0 ? chunks_between(a.last, b.begin, b.first) : 0)};
}

/// 32 consecutive hits, one a lane.
struct WarpHits {
  Index at, hit;
  Index row;
  bool is_hit, is_head;
  unsigned hits, heads;  ///< as lanes

  template <class Key>
  __device__ WarpHits(const Key& key, Index rows, Index begin, Index end) : at{begin}, hit{begin + threadIdx.x % 32} {
    row = hit < end ? key(hit) : rows;
    is_hit = row < rows;
    is_head = is_hit && (hit == 0 || key(hit - 1) != row);
    hits = __ballot_sync(~0u, is_hit);
    heads = __ballot_sync(~0u, is_head);
  }
  __device__ Index last_head() const { return at + 31 - __clz(static_cast<int>(heads)); }
};

/// The part of a block's range [begin, end) that is this warp's: whole warps of hits, in the warps' order.
struct WarpRange {
  Index begin, end;

  __device__ WarpRange(Index block_begin, Index block_end) {
    const Index share = (block_end - block_begin + blockDim.x - 1) / blockDim.x * 32;
    begin = min(block_end, block_begin + threadIdx.x / 32 * share);
    end = min(block_end, begin + share);
  }
};

struct Measured {
  Span before_warp;  ///< of the block's range, what is before this warp's part
  Span all;
};

/// `warps` is shared memory for a span of each warp.
template <class Key>
__device__ Measured measure_block(const Key& key, Index rows, Index begin, Index end, Span* warps) {
  const WarpRange range(begin, end);
  Span own{};
  for (Index at = range.begin; at < range.end; at += 32) {
    const WarpHits some(key, rows, at, range.end);
    const Index hits = __popc(some.hits), heads = __popc(some.heads);
    own = joined(own, {.begin = at,
                       .hits = hits,
                       .heads = heads,
                       .first = heads > 0 ? at + __ffs(static_cast<int>(some.heads)) - 1 : at + hits,
                       .last = some.last_head(),
                       .chunks = heads});
  }
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = own;
  __syncthreads();
  Measured result{};
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) {
    if (warp == threadIdx.x / 32) result.before_warp = result.all;
    result.all = joined(result.all, warps[warp]);
  }
  return result;
}

/// Writes what begins in this warp's part of [begin, end), after close_plan(). `before` is what is before it, from the
/// very first hit on; there are `count` keys.
template <class Key, class Position>
__device__ void write_block(const Key& key, const Position& position, Index rows, Index begin, Index end, Index count,
                            const Span& before, const PlanArrays& plan) {
  const unsigned lane = threadIdx.x % 32, lanes_before = (1u << lane) - 1, lanes_until = lanes_before | 1u << lane;
  const WarpRange range(begin, end);
  Index heads = before.heads, chunks = before.chunks, head = before.last;
  for (Index at = range.begin; at < range.end; at += 32) {
    const WarpHits some(key, rows, at, range.end);
    const unsigned until = some.heads & lanes_until;
    const Index own_head = until != 0 ? at + 31 - __clz(static_cast<int>(until)) : head;
    const Index u = heads + __popc(until) - 1;
    const bool begins_chunk = some.is_hit && ((some.hit - own_head) & (plan_layout::chunk - 1)) == 0;
    const unsigned chunk_lanes = __ballot_sync(~0u, begins_chunk);
    if (some.is_head) {
      plan.rows[u] = some.row;
      plan.offsets[u] = some.hit;
    }
    if (begins_chunk) {
      const Index c = chunks + __popc(chunk_lanes & lanes_before);
      plan.chunks[c] = {
          .mark = 2 * some.hit + (some.is_head ? 1 : 0), .position = position(some.hit), .u = u, .row = some.row};
      const Index next = some.hit + plan_layout::chunk;
      const bool has_others = !some.is_head || (next < count && key(next) == some.row);
      if (has_others && (some.hit - own_head) % (plan_layout::chunk * plan_layout::group) == 0) {
        plan.groups[atomicAdd(&plan.sizes->groups, 1ull)] = c;
      }
    }
    heads += __popc(some.heads);
    chunks += __popc(chunk_lanes);
    if (some.heads != 0) head = some.last_head();
  }
}

/// Writes the plan's sizes, no groups yet, and what ends its arrays; `all` is all its hits.
__device__ inline void close_plan(const Span& all, const PlanArrays& plan) {
  *plan.sizes = {.distinct = all.heads, .chunks = all.chunks, .hits = all.hits, .groups = 0};
  plan.offsets[all.heads] = all.hits;
  plan.chunks[all.chunks] = {.mark = 2 * all.hits + 1, .position = 0, .u = 0, .row = 0};
}

}  // namespace tartan::kernels
