#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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

/// What moves for a lookup.
enum class Exchange {
  automatic,  ///< whichever is expected to send fewer bytes, from sizes that every rank knows
  table,      ///< the table along the data axis, looked-up rows along the rows axis: functional::embedding
  rows,       ///< distinct rows along both: functional::embedding_by_rows
};

struct EmbeddingLayerOptions {
  /// Names the parameter ("<name>.weight") and, with `seed`, its initial values.
  std::string name = "embedding";
  Index num_embeddings = 0;  ///< V >= 1
  Index embedding_dim = 0;   ///< D >= 1
  /// The extents of the blocks of columns along the columns axis, one for each of its coordinates, instead of the
  /// balanced split.
  std::vector<Index> column_extents = {};
  /// Global row number, -V <= p < V, negative from the end: initially zero, and its gradient is exactly 0.
  std::optional<Index> padding_idx = {};
  /// At every call, rows that are looked up and whose norm exceeds this are scaled down first: see
  /// functional::renormalize_rows. The weight then counts as changed.
  std::optional<double> max_norm = {};
  double norm_type = 2;  ///< the p of max_norm's norm; infinity for the maximum
  /// Each contribution to a row's gradient is divided by how often its id occurs in the global batch.
  bool scale_grad_by_freq = false;
  /// The weight is no parameter: it gets no gradient.
  bool freeze = false;
  /// The gradient is row-sparse: the distinct ids of the global batch and their rows, reduced along the data axis row
  /// by row, whatever moves for the lookup.
  bool sparse = false;
  /// The bits of the table do not depend on the grid (functional::EmbeddingOptions::reproducible); blocks of columns
  /// are multiples of 32, and surplus ranks have none.
  bool reproducible = false;
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
  /// Ids that are Replicate along a data axis of more than one rank are always looked up by table.
  Exchange exchange = Exchange::automatic;
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
  /// Collective where the weight has to move, over its root. A table that is given, (V, D), in any distribution and on
  /// any topology with a common root: taken as it is, no row zeroed. num_embeddings and embedding_dim are its extents,
  /// or 0.
  DistributedEmbedding(const CartesianTopology& topology, const DistributedTensor<T>& weight,
                       EmbeddingLayerOptions options);
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

  const EmbeddingLayerOptions& options() const noexcept { return options_; }
  const EmbeddingAxes& axes() const noexcept { return axes_; }
  const Variable<T>& weight() const noexcept { return weight_; }

  /// Where ids of `shape` are best put: Shard(0) along the data axis (Replicate for 0-d ids), Replicate along the
  /// others.
  Distribution input_distribution(const Shape& shape) const;

 protected:
  /// The weight as the lookup needs it; collective where it has changed since the last call.
  Variable<T> table() const;
  /// Whether a lookup of such ids moves rows.
  bool moves_rows(const Distribution& ids) const;

 private:
  CartesianTopology topology_;
  EmbeddingLayerOptions options_;
  EmbeddingAxes axes_;
  /// All but the weight.
  DistributedEmbedding(const CartesianTopology& topology, EmbeddingLayerOptions options, Index rows, Index columns);
  void keep(DistributedTensor<T> weight);

  Distribution applied_;  ///< of the weight during the lookup: Replicate along the data axis
  Distribution stored_;   ///< of the weight between: options.storage along the data axis
  Variable<T> weight_;
  struct Moved {
    DistributedTensor<T> table;
    std::uint64_t version;  ///< of the weight
  };
  mutable std::optional<Moved> moved_;
};

extern template class DistributedEmbedding<float>;
extern template class DistributedEmbedding<double>;

}  // namespace tartan
