#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tartan/nn/applied_parameter.hpp>
#include <tartan/nn/functional.hpp>
#include <tartan/nn/initializers.hpp>
#include <tartan/nn/module.hpp>
#include <tartan/partition/cartesian_topology.hpp>

namespace tartan {

namespace lookup {
template <class T, class I>
class Lookup;
}

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
  /// Sums of the dense gradient by atomic additions on CUDA devices (functional::EmbeddingOptions::atomics).
  bool atomics = false;
  std::uint64_t seed = 0;
  Initializer initial = initializers::normal();
  /// Unless given: data, rows and columns are the axes 0, 1 and 2 of a grid of three axes.
  std::optional<EmbeddingAxes> axes = {};
  /// Where the weight is kept along the data axis: Root (broadcast at every call, gradients reduced back), Replicate
  /// (gradients all-reduced) or Shard{0} (gathered at every call, gradients reduce-scattered).
  Placement storage = Root{};
  /// Where the output is asked for along the rows axis: Partial (nothing is sent), Replicate, or Shard of one of its
  /// dimensions (where another axis splits that in given blocks, both split it in balanced ones).
  Placement output = Replicate{};
  /// Ids that are Replicate along a data axis of more than one rank are always looked up by table.
  Exchange exchange = Exchange::automatic;
};

/// What layers share that look up in one table: the weight (V, D) on a P_d × P_V × P_M grid, where it is kept, and what
/// moves when ids come.
///
///                        data axis         rows axis    columns axis
///     weight, stored     options.storage   Shard(0)     Shard(1)
///     weight, applied    Replicate         Shard(0)     Shard(1)
template <class T>
class EmbeddingTable : public Module<T> {
 public:
  const EmbeddingLayerOptions& options() const noexcept { return options_; }
  const EmbeddingAxes& axes() const noexcept { return axes_; }
  const Variable<T>& weight() const noexcept { return weight_.stored(); }

  /// Where ids of `shape` are best put: Shard(0) along the data axis (Replicate for 0-d ids), Replicate along the
  /// others.
  Distribution input_distribution(const Shape& shape) const;

 protected:
  /// Does not communicate. Throws Error, the same on every rank, on sizes below 1, a padding_idx out of range, axes
  /// that the grid does not have or that are named twice, and a storage or output that is not one of those above.
  EmbeddingTable(const CartesianTopology& topology, EmbeddingLayerOptions options);
  /// Collective where the weight has to move, over its root: a table that is given, (V, D).
  EmbeddingTable(const CartesianTopology& topology, const DistributedTensor<T>& weight, EmbeddingLayerOptions options);

  /// Collective over the topology. The lookup of `ids`, for a result of the rows `results` (..., as the ids, but
  /// perhaps fewer), with options.max_norm applied. `whole_rows`: every rank needs the rows that its ids name, none may
  /// be a sum of terms.
  template <class I>
  lookup::Lookup<T, I> look_up(const DistributedTensor<I>& ids, const Distribution& results, bool whole_rows) const;
  /// Collective along the rows axis where `rows` have to move: as options.output asks for them.
  Variable<T> as_asked(const Variable<T>& rows) const;

  /// The weight as a lookup by table needs it; collective where it has changed since the last call.
  Variable<T> table() const { return weight_(); }
  /// Whether a lookup of such ids moves rows along the data axis; `results`: of the rows that it gives, as many as ids
  /// unless said otherwise.
  bool moves_rows(const Distribution& ids, std::optional<Index> results = {}, bool whole_rows = false) const;

 private:
  /// All but the weight.
  EmbeddingTable(const CartesianTopology& topology, EmbeddingLayerOptions options, Index rows, Index columns);
  void keep(DistributedTensor<T> weight);

  CartesianTopology topology_;
  EmbeddingLayerOptions options_;
  EmbeddingAxes axes_;
  Distribution applied_;  ///< of the weight during the lookup: Replicate along the data axis
  Distribution stored_;   ///< of the weight between: options.storage along the data axis
  AppliedParameter<T> weight_;
};

extern template class EmbeddingTable<float>;
extern template class EmbeddingTable<double>;
extern template class EmbeddingTable<bfloat16>;
extern template class EmbeddingTable<half>;

}  // namespace tartan
