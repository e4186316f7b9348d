#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tartan/nn/embedding.hpp>

namespace tartan {
namespace functional {

struct MultiEmbeddingOptions {
  /// Of each table, or none: see EmbeddingOptions, as for the others.
  std::vector<std::optional<Index>> padding_idx = {};
  std::optional<double> max_norm = {};
  double norm_type = 2;
  bool scale_grad_by_freq = false;
  bool sparse = false;
  bool reproducible = false;
  bool atomics = false;
};

/// One lookup in many tables: column j of ids (..., F) is looked up in weights[j] (V_j, D_j), and the rows stand side
/// by side: out[i..., c] = weights[j][ids[i..., j], c - (D_0 + ... + D_{j-1})] for the table j that column c is in. The
/// result is (..., ΣD). Values and gradients are, to the last bit, those of an embedding() of each column.
///
/// Along each axis, each column meets its table as in embedding(), and the results are placed alike: a weight that is
/// Shard(1) there gives Shard(last), where the blocks of the ΣD columns are those that the tables' blocks make up. The
/// columns stand in order, so a rank's part of the tables' columns must follow that of the rank before it: see
/// blocks_side_by_side(). No axis may shard the last dimension of the ids.
///
/// Ids out of range throw Error on every rank, naming id, position, table and rank, before anything changes; that is
/// agreed once per ids tensor. Collective where max_norm is given; the ids are gathered once.
template <class T, class I>
Variable<T> multi_embedding(const DistributedTensor<I>& ids, const std::vector<Variable<T>>& weights,
                            const MultiEmbeddingOptions& options = {});

/// Collective. The same with rows on the move, as embedding_by_rows() moves them, for each table.
template <class T, class I>
Variable<T> multi_embedding_by_rows(const DistributedTensor<I>& ids, const std::vector<Variable<T>>& weights,
                                    const MultiEmbeddingOptions& options = {});

}  // namespace functional

/// Tables of widths D_j side by side, their ΣD columns split between `parts` ranks: result[j] are the extents of the
/// blocks of table j, for DistributionOptions::block_extents; ranks that have no column of it have 0. The split of ΣD
/// is the balanced one and may pass through a table. With `leaves` it does so at multiples of 32 of the table's own
/// columns only: each cut is where that is nearest to the balanced one.
std::vector<std::vector<Index>> blocks_side_by_side(const std::vector<Index>& widths, Index parts, bool leaves = false);

struct MultiEmbeddingLayerOptions {
  /// Table j is "<name>.<j>", unless `names` has names for all of them. A table's name and `seed` give its initial
  /// values, and "<name of the table>.weight" is its parameter, as of a DistributedEmbedding of that name.
  std::string name = "embedding";
  std::vector<std::string> names = {};
  std::vector<Index> num_embeddings = {};              ///< V_j >= 1 of each table
  std::vector<Index> embedding_dim = {};               ///< D_j >= 1 of each table
  std::vector<std::optional<Index>> padding_idx = {};  ///< of each table, or none
  /// The following are as in EmbeddingLayerOptions, for all tables.
  std::optional<double> max_norm = {};
  double norm_type = 2;
  bool scale_grad_by_freq = false;
  bool freeze = false;
  bool sparse = false;
  /// See EmbeddingLayerOptions; columns are split as blocks_side_by_side() does with `leaves`.
  bool reproducible = false;
  bool atomics = false;
  std::uint64_t seed = 0;
  Initializer initial = initializers::normal();
  std::optional<EmbeddingAxes> axes = {};
  Placement storage = Root{};
  Placement output = Replicate{};
  Exchange exchange = Exchange::automatic;
};

/// Many tables, one for each categorical feature, looked up at once: with ids (..., F) for F tables (V_j, D_j) the
/// output is (..., ΣD), the row ids[..., j] of each table j side by side. Values and gradients are, to the last bit,
/// those of a DistributedEmbedding for each table.
///
///                        data axis         rows axis         columns axis
///     weights, stored    options.storage   Shard(0)          Shard(1), in the blocks of blocks_side_by_side()
///     ids                Shard(0)          Replicate         Replicate
///     output             Shard(0)          options.output    Shard(last), the balanced split unless reproducible
///
/// Ids may be Replicate on the data axis too, and Shard of any of their dimensions but the last. Element types: float,
/// double, bfloat16, half; ids: int32, int64.
template <class T>
class DistributedMultiEmbedding : public Module<T> {
 public:
  /// Does not communicate. Throws Error, the same on every rank, where the options of a table are none that a
  /// DistributedEmbedding takes, their numbers differ, or a name comes twice.
  DistributedMultiEmbedding(const CartesianTopology& topology, MultiEmbeddingLayerOptions options);
  /// Collective where weights have to move, over their roots: see DistributedEmbedding. num_embeddings and
  /// embedding_dim are the weights' extents, or empty.
  DistributedMultiEmbedding(const CartesianTopology& topology, const std::vector<DistributedTensor<T>>& weights,
                            MultiEmbeddingLayerOptions options);

  /// Collective over the topology. Moves each weight along the data axis as DistributedEmbedding does, small ones in
  /// one message (redistribute_together); one collective along the rows axis brings the whole result to options.output.
  /// See functional::multi_embedding for ids out of range.
  template <class I>
  Variable<T> operator()(const DistributedTensor<I>& ids) const;

  const MultiEmbeddingLayerOptions& options() const noexcept { return options_; }
  /// Of each table.
  const std::vector<Variable<T>>& weights() const noexcept { return weights_; }

  /// Where ids of `shape` (..., F) are best put: Shard(0) along the data axis (Replicate for 1-d ids), Replicate along
  /// the others.
  Distribution input_distribution(const Shape& shape) const;

 private:
  class Table : public DistributedEmbedding<T> {
   public:
    using DistributedEmbedding<T>::DistributedEmbedding;
    using DistributedEmbedding<T>::moves_rows;
  };

  void add(Table table);
  /// The weights as lookups by table need them; collective where any has changed since the last call.
  std::vector<Variable<T>> moved() const;

  MultiEmbeddingLayerOptions options_;
  std::vector<Table> tables_;
  std::vector<Variable<T>> weights_;
  std::vector<Distribution> applied_;  ///< of each weight during a lookup: Replicate along the data axis
  struct Moved {
    DistributedTensor<T> table;
    std::uint64_t version;  ///< of the weight
  };
  mutable std::vector<std::optional<Moved>> moved_;
};

extern template class DistributedMultiEmbedding<float>;
extern template class DistributedMultiEmbedding<double>;
extern template class DistributedMultiEmbedding<bfloat16>;
extern template class DistributedMultiEmbedding<half>;

}  // namespace tartan
