#pragma once

#include <vector>

#include <tartan/distributed/distributed_tensor.hpp>

namespace tartan {

/// A distributed (V, D) tensor of which few rows differ from zero: the gradient of a table. Each rank has the rows of
/// its block that it names, and of those its block of columns; placements mean what they mean for the dense tensor.
template <class T>
struct RowSparse {
  Distribution distribution;  ///< of the dense tensor it stands for
  std::vector<Index> rows;    ///< global row numbers in this rank's block, ascending, distinct
  Tensor<T> values;           ///< (rows, columns of the block), on the topology's device

  /// Does not communicate. The dense tensor: zero (along Partial axes: -0.0) where no row is named.
  DistributedTensor<T> dense() const;
};

/// Does not communicate. The sum of two tensors of one distribution: the union of their rows, ascending.
template <class T>
RowSparse<T> add(const RowSparse<T>& a, const RowSparse<T>& b);

/// Whether redistribute() takes a row-sparse tensor from one distribution to the other: they lie on one topology and
/// split the columns alike.
bool moves_by_rows(const Distribution& from, const Distribution& to);

/// Collective over the axes whose placement changes, except where each rank has what it needs (into Partial, from
/// Replicate). The same tensor placed otherwise, without becoming dense: bytes in proportion to the rows that are
/// named. Terms are folded in the order of ranks. Throws Error, the same on every rank, where moves_by_rows() is false.
template <class T>
RowSparse<T> redistribute(RowSparse<T> x, const Distribution& to);

}  // namespace tartan
