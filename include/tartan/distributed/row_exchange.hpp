#pragma once

#include <span>

#include <tartan/distributed/row_sparse.hpp>

namespace tartan {

/// Single rows of distributed (V, D) tables on the move along one axis: bytes in proportion to the rows that are named,
/// not to the table. `most` is a bound on the rows that any rank names, the same on all ranks.

/// Collective over the axis. The rows `wanted` (global numbers, ascending, distinct, within what the ranks of this
/// rank's group along `axis` own together) of a table that is Root or Shard(0) along the axis, as (wanted, columns of
/// this rank's block): their numbers go to the owners, the rows come back. Throws Error where the table is placed
/// otherwise.
template <class T>
Tensor<T> pull_rows(const DistributedTensor<T>& table, int axis, std::span<const Index> wanted, Index most);

/// Collective over the axis. The row-sparse tensor `x`, Partial along `axis`, with its terms summed: placed as asked
/// along that axis, Root, Replicate or Shard(0), without becoming dense. Terms are folded in the order of ranks. Throws
/// Error for other placements.
template <class T>
RowSparse<T> sum_rows(const RowSparse<T>& x, int axis, const Distribution& to, Index most);

/// Collective over the axis. The (rows, columns) pieces of the ranks along `axis`, one after the other in the order of
/// their coordinates; counts[p] is the number of rows of coordinate p, known to all. They lie where `mine` does.
template <class T>
Tensor<T> gather_pieces(const CartesianTopology& topology, int axis, const Tensor<T>& mine,
                        std::span<const Index> counts);

}  // namespace tartan
