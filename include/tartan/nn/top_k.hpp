#pragma once

#include <tartan/distributed/distributed_tensor.hpp>

namespace tartan {

/// The k greatest of each row, descending; equal ones by ascending class, NaN before all numbers.
template <class T>
struct TopK {
  DistributedTensor<T> values;       ///< (..., k)
  DistributedTensor<Index> classes;  ///< (..., k)
};

/// Of logits (..., V) that are Shard or Replicate along each axis, whose classes, the last dimension, may be cut. The
/// results are placed as target_distribution() says. One all-gather of k pairs (16 bytes each) for each row and axis
/// that cuts classes. Throws Error on every rank where k is not from 1 to V.
template <class T>
TopK<T> top_k(const DistributedTensor<T>& logits, Index k);

/// The greatest class of each row, (...): top_k() for k = 1.
template <class T>
DistributedTensor<Index> argmax(const DistributedTensor<T>& logits);

}  // namespace tartan
