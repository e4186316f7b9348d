#pragma once

#include <tartan/distributed/distributed_tensor.hpp>
#include <tartan/nn/local_embedding.hpp>

namespace tartan {

/// How the ranks of a group have cut a table, for codes that think in tensor parallelism.
struct TensorParallelOptions {
  /// The ranks that have the table together; none: this rank has all of it.
  Communicator tp_group = {};
  /// What a rank has of the (V, D) table, in the order of ranks: 0, rows (of the vocabulary), or 1, columns.
  int sharding_dim = 0;
  /// V; where it is 0, what the shards say is taken.
  Index num_embeddings = 0;
};

/// Lookups of the same ids on every rank of a group, in a table of which each rank has a shard: out[i..., :] =
/// W[ids[i...], :], whole on every rank. For inference: a plan that is made once and used often, without gradients.
///
/// Shards may be uneven and empty. A row is moved, never summed: the distinct rows that each rank owns are all-gathered
/// (half the bytes of an all-reduce at most, and no rounding), or the looked-up columns are. Element types: float,
/// double, bfloat16, half; ids: int32, int64.
template <class T>
class TensorParallelEmbedding {
 public:
  /// Collective over tp_group: one all-gather of 48 bytes from each rank. The shard's elements are shared with the
  /// caller, not copied. Throws Error, the same on every rank, where a shard is not 2-d, the other extents of two
  /// shards differ, sharding_dim is not 0 or 1, or num_embeddings is not what the shards add up to, on any rank.
  TensorParallelEmbedding(Tensor<T> weight_shard, const TensorParallelOptions& options);

  /// Collective over the group: one all-gather. The result, (…, D), is this rank's own and lies where its shard does.
  /// `ids` (…) is the same on every rank: that is the caller's to see to, and verified under TARTAN_CHECKS=collective
  /// only. An id outside [0, V) throws Error, the same on every rank, naming the id, its position and the bound, before
  /// anything is sent.
  template <class I>
  Tensor<T> operator()(const Tensor<I>& ids) const;

 private:
  Tensor<T> shard_;
  DistributedTensor<T> weight_;  ///< null without a group
};

extern template class TensorParallelEmbedding<float>;
extern template class TensorParallelEmbedding<double>;
extern template class TensorParallelEmbedding<bfloat16>;
extern template class TensorParallelEmbedding<half>;

namespace functional {

/// Collective over options.tp_group: two all-gathers. TensorParallelEmbedding for a single lookup: it makes the plan
/// at each call.
template <class T, class I>
Tensor<T> embedding(const Tensor<I>& ids, const Tensor<T>& weight_shard, const TensorParallelOptions& options) {
  return TensorParallelEmbedding<T>(weight_shard, options)(ids);
}

}  // namespace functional
}  // namespace tartan
