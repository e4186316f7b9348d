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
  Tensor<T> values;           ///< (rows, columns of the block)

  /// Does not communicate. The dense tensor: zero (along Partial axes: -0.0) where no row is named.
  DistributedTensor<T> dense() const;
};

/// Does not communicate. The sum of two tensors of one distribution: the union of their rows, ascending.
template <class T>
RowSparse<T> add(const RowSparse<T>& a, const RowSparse<T>& b);

}  // namespace tartan
