#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <tartan/nn/functional.hpp>
#include <tartan/nn/initializers.hpp>
#include <tartan/nn/module.hpp>
#include <tartan/partition/cartesian_topology.hpp>

namespace tartan {

/// The axes of a grid that a table is laid over; an axis that is not named replicates everything.
struct EmbeddingAxes {
  std::optional<int> data = {};     ///< splits the batch
  std::optional<int> rows = {};     ///< splits the vocabulary
  std::optional<int> columns = {};  ///< splits the embedding dimension
};

struct EmbeddingLayerOptions {
  /// Names the parameter ("<name>.weight") and, with `seed`, its initial values.
  std::string name = "embedding";
  Index num_embeddings = 0;  ///< V >= 1
  Index embedding_dim = 0;   ///< D >= 1
  /// Global row number, -V <= p < V, negative from the end: initially zero, and its gradient is exactly 0.
  std::optional<Index> padding_idx = {};
  /// The gradient is row-sparse as long as no axis of more than one rank has to reduce it; dense otherwise.
  bool sparse = false;
  std::uint64_t seed = 0;
  Initializer initial = initializers::normal();
  /// Unless given: data, rows and columns are the axes 0, 1 and 2 of a grid of three axes.
  std::optional<EmbeddingAxes> axes = {};
  /// Where the weight is kept along the data axis: Root (broadcast at every call, gradients reduced back), Replicate
  /// (gradients all-reduced) or Shard{0} (gathered at every call, gradients reduce-scattered).
  Placement storage = Root{};
  /// Where the output is asked for along the rows axis: Partial (nothing is sent), Replicate, or Shard of one of its
  /// dimensions.
  Placement output = Replicate{};
};

/// A table of num_embeddings × embedding_dim numbers on a P_d × P_V × P_M grid. With ids (…) the output is (…, D):
///
///                        data axis         rows axis         columns axis
///     weight, stored     options.storage   Shard(0)          Shard(1)
///     ids                Shard(0)          Replicate         Replicate
///     output             Shard(0)          options.output    Shard(last)
///
/// Ids may be Replicate on the data axis too, and Shard of any of their dimensions. The table is the same on every
/// grid. Element types: float, double; ids: int32, int64.
template <class T>
class DistributedEmbedding : public Module<T> {
 public:
  /// Does not communicate. Throws Error, the same on every rank, on sizes below 1, a padding_idx out of range, axes
  /// that the grid does not have or that are named twice, and a storage or output that is not one of those above.
  DistributedEmbedding(const CartesianTopology& topology, EmbeddingLayerOptions options);

  /// Collective over the topology. Moves the weight along the data axis as options.storage says, looks up, and brings
  /// the result to options.output: one all-reduce (Replicate) or reduce-scatter (Shard) along the rows axis. See
  /// functional::embedding for the placements of ids that are taken and for ids out of range.
  template <class I>
  Variable<T> operator()(const DistributedTensor<I>& ids) const;

  const EmbeddingLayerOptions& options() const noexcept { return options_; }
  const EmbeddingAxes& axes() const noexcept { return axes_; }
  const Variable<T>& weight() const noexcept { return weight_; }

  /// Where ids of `shape` are best put: Shard(0) along the data axis (Replicate for 0-d ids), Replicate along the
  /// others.
  Distribution input_distribution(const Shape& shape) const;

 private:
  CartesianTopology topology_;
  EmbeddingLayerOptions options_;
  EmbeddingAxes axes_;
  Distribution applied_;  ///< of the weight during the lookup: stored, but Replicate along the data axis
  Variable<T> weight_;
};

extern template class DistributedEmbedding<float>;
extern template class DistributedEmbedding<double>;

}  // namespace tartan
