#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "nn/lookup.hpp"

/// max_norm: looked-up rows that are scaled down where they are stored.
namespace tartan::lookup {

struct RowNorms {
  double max_norm;
  double norm_type;
  bool reproducible;

  /// The largest of several numbers is the same in any order.
  bool leaves() const { return reproducible && !std::isinf(norm_type); }
};

/// Replaces each row's Σ |w|^p, or largest |w|, by the factor that brings the row to max_norm where its norm is beyond.
void turn_into_factors(std::span<double> sums, const RowNorms& norms);

/// Throws Error, the same on every rank, where rows of `weight` have no such norms.
template <class T>
void require_norms(const Variable<T>& weight, const RowNorms& norms);

/// Collective along the axes that shard columns: functional::renormalize_rows() for the rows of weights[f] that occur
/// in batches[f], whole batches that are known to be in range. The norms of all weights, which are placed alike, are
/// combined by one collective; leaves take one for each weight.
template <class T, class I>
void renormalize(const std::vector<DistributedTensor<I>>& batches, std::vector<Variable<T>> weights,
                 const RowNorms& options);

}  // namespace tartan::lookup
