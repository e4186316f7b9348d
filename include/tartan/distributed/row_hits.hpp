#pragma once

#include <vector>

#include <tartan/distributed/row_sparse.hpp>

namespace tartan {

/// Contributions to the rows of a (V, D) tensor that are not added up yet, so that the order in which they will be does
/// not depend on who has them.
template <class T>
struct RowHits {
  Distribution distribution;     ///< of the tensor that they add up to: Partial where ranks have hits of their own
  std::vector<Index> rows;       ///< global row numbers in this rank's block; one row may be hit often
  std::vector<Index> positions;  ///< where each hit stands in the order of all ranks' hits; no two hits share one
  Tensor<T> values;              ///< (hits, columns of the block), on the topology's device
};

/// Throws Error unless fold_hits() takes hits placed as `hits` to a tensor placed as `to`.
void require_hits(const Distribution& hits, const Distribution& to);

/// Collective over the axes that are Partial in `hits` and not in `to`. What the hits add up to: each travels unsummed
/// to the owner of its row along those axes (coordinate 0 where `to` is Root, the block's owner where it is Shard(0);
/// where it is Replicate, the owner in the balanced split, from whom the sums come back), and is added there in the
/// order of positions, by the fold of docs/design.md. The bits depend on rows, positions and values alone. `most` is a
/// bound on the hits of all ranks, the same on every rank. Throws Error, the same on every rank, unless `to` is placed
/// as the hits are along the other axes and an axis that splits rows and is summed nests innermost.
template <class T>
RowSparse<T> fold_hits(const RowHits<T>& hits, const Distribution& to, Index most);

}  // namespace tartan
