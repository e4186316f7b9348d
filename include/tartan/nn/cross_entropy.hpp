#pragma once

#include <type_traits>
#include <utility>

#include <tartan/autograd/operations.hpp>
#include <tartan/autograd/variable.hpp>
#include <tartan/nn/linear.hpp>

/// Cross-entropy of logits whose classes may be cut over ranks, each of which never sees another's logits.
namespace tartan {

template <class T>
struct CrossEntropyOptions {
  /// A factor for each class, (V): placed as the classes are, Shard(0) where they are cut and Replicate elsewhere, or
  /// Replicate everywhere. Null: 1.
  DistributedTensor<T> weight = {};
  /// Rows of this target have no loss and no gradient, and do not count in the mean.
  Index ignore_index = -100;
  /// ε in [0, 1]: the target distribution is 1 - ε on the target and ε / V on each class, V that of all ranks.
  double label_smoothing = 0;
  /// mean: over the global batch, divided by the sum of the targets' weights; NaN where no row counts.
  LossReduction reduction = LossReduction::mean;
  /// Shards are combined in the order of ranks, so that a grid gives the same bits in each run and with every MPI, for
  /// an all-gather in place of an all-reduction. On devices it is always so.
  bool reproducible = false;
};

/// How targets of logits (..., V), one for each row, are placed: as the logits' leading dimensions, Replicate along the
/// axes that cut classes.
Distribution target_distribution(const Distribution& logits);

namespace functional {

/// The cross-entropy, in nats, of logits (..., V) against class indices (...) in [0, V), placed as
/// target_distribution() says: PyTorch's F.cross_entropy with the classes in the last dimension. The formula, for
/// weights w and smoothing ε, with p = softmax(x) and y the target:
///
///     (1 - ε) w_y (-log p_y) + (ε / V) Σ_c w_c (-log p_c)
///
/// Logits are Shard or Replicate along each axis. The result has the shape of the targets for `none`, placed like them;
/// 0-d otherwise: for `sum` Partial along axes that cut rows, for `mean` Replicate.
///
/// Collective along axes that cut classes (one message for each, of 24 bytes a row on a binary tree, 48 with weights or
/// smoothing) and, for `mean`, those that cut rows (two doubles). Backward does not communicate. Statistics of float
/// and the 16-bit types are float terms added in double. The logits are neither written to nor copied; the gradient is
/// the only other tensor of their size. Throws Error on every rank, before anything else moves, for a target that is
/// neither a class nor ignore_index, for a smoothing outside [0, 1] and for placements that do not meet.
template <class T, class I>
Variable<T> cross_entropy(const Variable<T>& logits, const DistributedTensor<I>& targets,
                          const CrossEntropyOptions<std::type_identity_t<T>>& options = {});

/// cross_entropy(linear(x, weight, bias), targets) without the logits: they are made `tile_classes` columns at a time,
/// once here and once more in the backward pass, so that memory beside weights and gradients is one tile of this rank's
/// rows × tile_classes, twice x where there is more than one tile (of the 16-bit types five times x: the sum of the
/// tiles' terms of its gradient and one of these are floats, too), and a few numbers for each row. x (..., in), weight
/// (V, in) and bias (V, or null) are placed as for linear() and give logits that are Shard or Replicate. Communicates
/// as the two do. tile_classes of 0: as many as make a tile of 8 MiB, but 64 at least.
template <class T, class I>
Variable<T> linear_cross_entropy(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias,
                                 const DistributedTensor<I>& targets,
                                 const CrossEntropyOptions<std::type_identity_t<T>>& options = {},
                                 Index tile_classes = 0);

/// The same for the product of a layer, a head whose weight may be stored otherwise than it is used: x is placed as its
/// input_distribution() says. Collective where the weight has to move.
template <class T, class I>
Variable<T> linear_cross_entropy(const Variable<T>& x, const DistributedLinear<T>& head,
                                 const DistributedTensor<I>& targets,
                                 const CrossEntropyOptions<std::type_identity_t<T>>& options = {},
                                 Index tile_classes = 0) {
  return linear_cross_entropy(x, head.weight_in_use(), head.bias_in_use(), targets, options, tile_classes);
}

/// log Σ e^x over the last dimension, which may be cut: (..., V) gives (...), placed as target_distribution() says. One
/// message for each axis that cuts it. A row with +infinity gives NaN, where PyTorch gives +infinity.
template <class T>
Variable<T> log_sum_exp(const Variable<T>& x);

/// The entropy -Σ p log p, in nats, of p = softmax(logits), likewise.
template <class T>
Variable<T> entropy(const Variable<T>& logits);

}  // namespace functional

/// The loss as an object, TorchShard's ParallelCrossEntropyLoss: functional::cross_entropy() with these options.
template <class T>
class DistributedCrossEntropy {
 public:
  explicit DistributedCrossEntropy(CrossEntropyOptions<T> options = {}) : options_(std::move(options)) {}

  template <class I>
  Variable<T> operator()(const Variable<T>& logits, const DistributedTensor<I>& targets) const {
    return functional::cross_entropy(logits, targets, options_);
  }

  const CrossEntropyOptions<T>& options() const noexcept { return options_; }

 private:
  CrossEntropyOptions<T> options_;
};

}  // namespace tartan
