#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <tartan/autograd/variable.hpp>
#include <tartan/nn/applied_parameter.hpp>
#include <tartan/nn/module.hpp>
#include <tartan/partition/cartesian_topology.hpp>

namespace tartan {
namespace functional {

/// x·weightᵀ + bias for x (..., in), weight (out, in) and, unless it is null, bias (out); the result is (..., out).
/// Does not communicate. Along each axis, with `last` the last dimension of x or of the result and d any other:
///
///     x              weight      bias        result        gradients of x, weight and bias
///     Shard(d)       Replicate   Replicate   Shard(d)      Shard(d), Partial, Partial
///     Replicate      Replicate   Replicate   Replicate     Replicate, Replicate, Replicate
///     Replicate      Shard(0)    Shard(0)    Shard(last)   Partial, Shard(0), Shard(0)
///     Shard(last)    Shard(1)    Replicate   Partial       Shard(last), Shard(1), Replicate
///     Partial        Replicate   Replicate   Partial       Replicate, Partial, Replicate
///     Root           Root        Root        Root          Root, Root, Root
///
/// Other placements are refused on every rank, and so is a dimension that two operands cut differently. Where the
/// result is Partial, coordinate 0 adds the bias.
template <class T>
Variable<T> linear(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias = {});

}  // namespace functional

/// The axes of a grid that a linear layer is laid over; an axis that is not named replicates everything.
struct LinearAxes {
  std::optional<int> data = {};  ///< splits the batch
  std::optional<int> out = {};   ///< splits out_features, the rows of the weight: a column-parallel layer
  std::optional<int> in = {};    ///< splits in_features, the columns of the weight: a row-parallel layer
};

struct LinearLayerOptions {
  /// Names the parameters ("<name>.weight", "<name>.bias") and, with `seed`, their initial values.
  std::string name = "linear";
  Index in_features = 0;   ///< at least 1
  Index out_features = 0;  ///< at least 1
  bool bias = true;
  /// What the last axis of the grid splits: none: nothing; 0: in_features (row parallel); 1 or -1: out_features (column
  /// parallel). The data axis is axis 0, where that is not the one that is split. For other layouts there is `axes`.
  std::optional<int> dim = {};
  std::uint64_t seed = 0;
  /// All axes by name, instead of `dim`.
  std::optional<LinearAxes> axes = {};
  /// Where the parameters are kept along the data axis: Root (broadcast at every call, gradients reduced back),
  /// Replicate (gradients all-reduced) or Shard{0} (gathered at every call, gradients reduce-scattered). What has not
  /// changed since the last call is not moved again.
  Placement storage = Replicate{};
  /// Where the output is asked for along the axis that splits in_features: Partial (nothing is sent), Replicate (one
  /// all-reduce) or Shard of one of its dimensions (one reduce-scatter).
  Placement output = Replicate{};
};

/// x·weightᵀ + bias, for x (..., in_features); the output is (..., out_features):
///
///                       data axis         out axis       in axis
///     weight, stored    options.storage   Shard(0)       Shard(1)
///     bias, stored      options.storage   Shard(0)       Replicate
///     x                 Shard(d)          Replicate      Shard(last), or Replicate, of which a part is taken
///     output            Shard(d)          Shard(last)    options.output
///
/// x may be Replicate on the data axis too. Initial values are uniform on ±1/sqrt(in_features), PyTorch's, as a
/// function of (seed, name, global index): the same on every grid. Element types: float, double, bfloat16, half.
template <class T>
class DistributedLinear : public Module<T> {
 public:
  /// Does not communicate. Throws Error, the same on every rank, on features below 1, axes that the grid does not have
  /// or that are named twice, and a dim, storage or output that is not one of those above.
  DistributedLinear(const CartesianTopology& topology, LinearLayerOptions options);
  /// On a weight (out_features, in_features) that another layer may have too, as the embedding of a language model and
  /// its head do: one parameter, whose gradients are added and then reduced once. It is kept where it is, on its own
  /// topology, and is not among this layer's parameters(). in_features, out_features and storage are the weight's (the
  /// features named must be, or 0). Throws Error where the weight does not lie as the axes say.
  DistributedLinear(const Variable<T>& weight, LinearLayerOptions options);

  /// Collective over the topology where the parameters have changed and have to move, and where the output has.
  Variable<T> operator()(const Variable<T>& x) const;

  const LinearLayerOptions& options() const noexcept { return options_; }
  const LinearAxes& axes() const noexcept { return axes_; }
  const Variable<T>& weight() const noexcept { return weight_.stored(); }
  /// Null where the layer has none.
  const Variable<T>& bias() const noexcept { return bias_.stored(); }

  /// Where x of `shape` is best put: Shard(0) along the data axis (Replicate for a vector), Replicate along the others.
  Distribution input_distribution(const Shape& shape) const;

 private:
  DistributedLinear(const CartesianTopology& topology, LinearLayerOptions options, Index out, Index in);
  void add_bias();

  CartesianTopology topology_;
  LinearLayerOptions options_;
  LinearAxes axes_;
  Distribution applied_;  ///< of the weight: Replicate along the data axis
  AppliedParameter<T> weight_;
  AppliedParameter<T> bias_;
};

extern template class DistributedLinear<float>;
extern template class DistributedLinear<double>;
extern template class DistributedLinear<bfloat16>;
extern template class DistributedLinear<half>;

}  // namespace tartan
