#pragma once

#include <vector>

#include <tartan/base/half_types.hpp>
#include <tartan/partition/cartesian_topology.hpp>
#include <tartan/partition/distribution.hpp>
#include <tartan/tensor/tensor.hpp>

namespace tartan {

/// Sums over columns that may be split between ranks, with bits that do not depend on the split: the columns 32k to
/// 32k + 31 are leaf k; a leaf is summed by halving (16, 8, 4, 2, 1; absent columns count as -0.0), and the sums of the
/// leaves are left-folded in groups of 32, repeatedly, until one remains. No block of columns may cut a leaf.
inline constexpr Index leaf_columns = 32;

/// How many leaves a block of so many columns has.
constexpr Index leaves_of(Index columns) { return (columns + leaf_columns - 1) / leaf_columns; }

/// The extents of the blocks of `columns` columns on `parts` ranks when leaves are split in a balanced way: for
/// DistributionOptions::block_extents. Surplus ranks have none.
std::vector<Index> leaf_blocks(Index columns, Index parts);

/// Throws Error, the same on every rank, where the blocks of dimension `dim` cut leaves, or more than one axis splits
/// it.
void require_leaves(const Distribution& distribution, int dim);

/// Collective over the axis that splits dimension `dim`, which require_leaves() must accept. `leaves` has the sums of
/// the leaves of this rank's block, (n, leaves), of half types as floats; `out`, of n elements on the same device, gets
/// the n sums over all leaves, rounded once. The ranks along the axis have the same n. Nothing on inactive ranks.
template <class T>
void sum_leaves(const Distribution& distribution, int dim, const Tensor<Accumulator<T>>& leaves, Tensor<T>& out);

}  // namespace tartan
