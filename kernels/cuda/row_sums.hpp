#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/plan_layout.hpp"
#include "kernels/cuda/row_lanes.hpp"
#include "kernels/grouped_fold.hpp"

/// Sums over a row's columns that do not depend on where it is split: leaves of 32 columns by halving, lane l with lane
/// l + 16 first, and left folds of groups of 32 leaves, repeatedly, until one remains.
namespace tartan::kernels {

inline constexpr int leaf = 32;

/// The leaf of which each lane of a warp has one value, in lane 0.
template <class T, class Combine>
__device__ T combined_leaf(T value, const Combine& combine) {
  for (int half = leaf / 2; half > 0; half /= 2) value = combine(value, __shfl_down_sync(~0u, value, half));
  return value;
}

/// Leaf k of the values term(0), ..., term(columns - 1), in lane 0 of a warp.
template <class Term, class Combine>
__device__ auto leaf_sum(Index k, Index columns, const Term& term, const Combine& combine) {
  using T = decltype(term(Index{0}));
  const Index c = k * leaf + threadIdx.x % leaf;
  return combined_leaf(c < columns ? term(c) : static_cast<T>(-0.0), combine);
}

/// The combination of term(0), ..., term(columns - 1) by a warp, in every lane; `empty` where there are no columns.
template <class T, class Term, class Combine>
__device__ T row_sum(Index columns, const Term& term, const Combine& combine, T empty) {
  GroupedFold<T> fold;
  for (Index k = 0; k * leaf < columns; ++k) fold.add(leaf_sum(k, columns, term, combine), combine);
  return __shfl_sync(~0u, fold.result(empty, combine), 0);
}

/// The sum of values[0], ..., [columns - 1] in shared memory, at most 32 leaves, which a group of lanes has written;
/// every lane gets it. The values are gone afterwards, and the memory free.
__device__ inline double sum_by_leaves(const Lanes& lanes, double* values, Index columns) {
  for (int half = leaf / 2; half > 0; half /= 2) {
    __syncwarp(lanes.mask);
    for (Index c = lanes.lane; c < columns; c += lanes.count()) {
      if (c % leaf < half && c + half < columns) values[c] += values[c + half];
    }
  }
  __syncwarp(lanes.mask);
  double sum = values[0];
  for (Index c = leaf; c < columns; c += leaf) sum += values[c];
  __syncwarp(lanes.mask);
  return sum;
}

}  // namespace tartan::kernels
