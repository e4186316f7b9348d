#pragma once

#include <tartan/nn/bags.hpp>
#include <tartan/nn/embedding_table.hpp>

namespace tartan {

using functional::BagMode;

struct EmbeddingBagOptions {
  BagMode mode = BagMode::mean;
  /// Offsets are one more than bags, and the last is the number of ids.
  bool include_last_offset = false;
};

/// A table as DistributedEmbedding has it, whose looked-up rows become one row for each bag of ids (see
/// functional::embedding_bag): with B bags the output is (B, D), placed
///
///                   data axis    rows axis         columns axis
///     ids           Shard(0)     Replicate         Replicate
///     offsets       Shard(0)     Replicate         Replicate
///     output        Shard(0)     options.output    Shard(last)
///
/// Ids and offsets may be Replicate on the data axis too. In mode max, and with `reproducible`, the rows axis sends the
/// distinct rows that are looked up, all-gathered once, since they must not be summed in parts: mode max takes no
/// output that is Partial. Element types: float, double, bfloat16, half; ids and offsets: int32, int64.
template <class T>
class DistributedEmbeddingBag : public EmbeddingTable<T> {
 public:
  /// Does not communicate. Throws Error, the same on every rank, where DistributedEmbedding does, and for a Partial
  /// output or scale_grad_by_freq in mode max.
  DistributedEmbeddingBag(const CartesianTopology& topology, EmbeddingLayerOptions options,
                          EmbeddingBagOptions bag_options = {});
  /// Collective where the weight has to move, over its root: a table that is given, as DistributedEmbedding takes it.
  DistributedEmbeddingBag(const CartesianTopology& topology, const DistributedTensor<T>& weight,
                          EmbeddingLayerOptions options, EmbeddingBagOptions bag_options = {});
  /// The same, and frozen unless `freeze` is false. PyTorch's EmbeddingBag.from_pretrained.
  static DistributedEmbeddingBag from_pretrained(const CartesianTopology& topology, const DistributedTensor<T>& weight,
                                                 EmbeddingLayerOptions options = {},
                                                 EmbeddingBagOptions bag_options = {}, bool freeze = true) {
    options.freeze = freeze;
    return DistributedEmbeddingBag(topology, weight, std::move(options), bag_options);
  }

  /// Collective over the topology, as a call of DistributedEmbedding: (B, D) is moved along the rows axis where terms
  /// of it are summed, not the looked-up rows. per_sample_weights: one for each id, placed as bags.ids() or moved
  /// there, over the root if need be.
  template <class I>
  Variable<T> operator()(const Bags<I>& bags, const Variable<T>& per_sample_weights = {}) const;
  /// Bags that are the rows of ids (B, L).
  template <class I>
  Variable<T> operator()(const DistributedTensor<I>& ids, const Variable<T>& per_sample_weights = {}) const {
    return (*this)(Bags<I>(ids), per_sample_weights);
  }
  /// Bags of ids (N) that begin at offsets (B). Collective over the root: see Bags.
  template <class I>
  Variable<T> operator()(const DistributedTensor<I>& ids, const DistributedTensor<I>& offsets,
                         const Variable<T>& per_sample_weights = {}) const {
    return (*this)(Bags<I>(ids, offsets, bag_options_.include_last_offset), per_sample_weights);
  }

  const EmbeddingBagOptions& bag_options() const noexcept { return bag_options_; }

 private:
  void require_possible() const;

  EmbeddingBagOptions bag_options_;
};

extern template class DistributedEmbeddingBag<float>;
extern template class DistributedEmbeddingBag<double>;
extern template class DistributedEmbeddingBag<bfloat16>;
extern template class DistributedEmbeddingBag<half>;

}  // namespace tartan
