#pragma once

#include <vector>

#include <tartan/autograd/variable.hpp>

#include "kernels/class_statistics.hpp"

/// Logits (..., V) whose last dimension, the classes, may be cut over ranks: what functions of whole rows share.
namespace tartan::classes {

/// How logits lie.
struct Layout {
  Distribution rows;      ///< of one number for each row: as the logits, Replicate along the axes that cut classes
  std::vector<int> axes;  ///< that cut classes, of extent above 1, outermost first
  Interval mine;          ///< this rank's classes; empty where it has none
};

/// Throws Error, the same on every rank, unless the logits have a dimension and are Shard or Replicate along each axis.
/// `function` is who asks.
Layout layout_of(const char* function, const Distribution& logits);

/// A row for each of the logits', of `columns` numbers.
Distribution with_columns(const Distribution& rows, Index columns);

/// This rank's rows, of kernels/class_statistics.hpp. `weights`: one for each of this rank's classes, or null. Does not
/// communicate.
template <class T>
DistributedTensor<double> shard_statistics(const DistributedTensor<T>& logits, const Layout& layout, const T* weights,
                                           int fields);

/// Collective along the axes that cut classes, an all-gather for each: (shards, ...), in the order of ranks, from what
/// each rank has of its shard, (...).
DistributedTensor<double> gathered(const DistributedTensor<double>& shards, const Layout& layout);

/// Collective along the axes that cut classes: the statistics of whole rows from those of shards, whose memory it may
/// take. On the host one all-reduction by an operation of our own, whose order is MPI's; where `ordered`, and on
/// devices, one all-gather of the shards, combined in the order of ranks.
DistributedTensor<double> combined(DistributedTensor<double> statistics, const Layout& layout, bool ordered);

}  // namespace tartan::classes
