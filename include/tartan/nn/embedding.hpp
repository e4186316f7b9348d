#pragma once

#include <tartan/nn/embedding_table.hpp>

namespace tartan {

/// A table of num_embeddings × embedding_dim numbers on a P_d × P_V × P_M grid. With ids (…) the output is (…, D):
///
///                        data axis         rows axis         columns axis
///     weight, stored     options.storage   Shard(0)          Shard(1)
///     ids                Shard(0)          Replicate         Replicate
///     output             Shard(0)          options.output    Shard(last)
///
/// Ids may be Replicate on the data axis too, and Shard of any of their dimensions. The table is the same on every
/// grid. Element types: float, double, bfloat16, half; ids: int32, int64.
template <class T>
class DistributedEmbedding : public EmbeddingTable<T> {
 public:
  /// Does not communicate. Throws Error, the same on every rank, on sizes below 1, a padding_idx out of range, axes
  /// that the grid does not have or that are named twice, and a storage or output that is not one of those above.
  DistributedEmbedding(const CartesianTopology& topology, EmbeddingLayerOptions options)
      : EmbeddingTable<T>(topology, std::move(options)) {}
  /// Collective where the weight has to move, over its root. A table that is given, (V, D), in any distribution and on
  /// any topology with a common root: taken as it is, no row zeroed. num_embeddings and embedding_dim are its extents,
  /// or 0.
  DistributedEmbedding(const CartesianTopology& topology, const DistributedTensor<T>& weight,
                       EmbeddingLayerOptions options)
      : EmbeddingTable<T>(topology, weight, std::move(options)) {}
  /// The same, and frozen unless `freeze` is false. PyTorch's Embedding.from_pretrained.
  static DistributedEmbedding from_pretrained(const CartesianTopology& topology, const DistributedTensor<T>& weight,
                                              EmbeddingLayerOptions options = {}, bool freeze = true) {
    options.freeze = freeze;
    return DistributedEmbedding(topology, weight, std::move(options));
  }

  /// Collective over the topology. Moves the weight along the data axis as options.storage says, unless it has not
  /// changed since it was moved last, looks up, and brings the result to options.output: one all-reduce (Replicate) or
  /// reduce-scatter (Shard) along the rows axis. See functional::embedding for the placements of ids that are taken and
  /// for ids out of range.
  template <class I>
  Variable<T> operator()(const DistributedTensor<I>& ids) const;
};

extern template class DistributedEmbedding<float>;
extern template class DistributedEmbedding<double>;
extern template class DistributedEmbedding<bfloat16>;
extern template class DistributedEmbedding<half>;

}  // namespace tartan
