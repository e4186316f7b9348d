#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <tartan/autograd/variable.hpp>
#include <tartan/nn/applied_parameter.hpp>
#include <tartan/nn/initializers.hpp>
#include <tartan/nn/module.hpp>
#include <tartan/partition/cartesian_topology.hpp>

namespace tartan {
namespace functional {

struct LinearOptions {
  /// Backward, the reduction of x's gradient and the product for the weight's at the same time, in host memory.
  bool overlap = true;
};

/// x·weightᵀ + bias for x (..., in), weight (out, in) and, unless it is null, bias (out); the result is (..., out). A
/// weight may have more dimensions of outputs: with (a, b, in) the bias is (a, b) and the result (..., a, b). Does not
/// communicate. Along each axis, with `last` the last dimension of x, d any other of its, and o one of the weight's
/// outputs:
///
///     x              weight        bias        result          gradients of x, weight and bias
///     Shard(d)       Replicate     Replicate   Shard(d)        Shard(d), Partial, Partial
///     Replicate      Replicate     Replicate   Replicate       Replicate, Replicate, Replicate
///     Replicate      Shard(o)      Shard(o)    Shard(last+o)   Partial, Shard(o), Shard(o)
///     Shard(last)    Shard(last)   Replicate   Partial         Shard(last), Shard(last), Replicate
///     Partial        Replicate     Replicate   Partial         Replicate, Partial, Replicate
///     Root           Root          Root        Root            Root, Root, Root
///
/// Other placements are refused on every rank, with the redistribution of x that would do, and so is a dimension that
/// two operands cut differently. Where the result is Partial, coordinate 0 adds the bias.
///
/// Backward, where the gradient of x is Partial, the product for the weight's gradient is computed beside the next
/// reduction, mostly that of x's, unless `options` say otherwise: see GradientTape::put_off.
template <class T>
Variable<T> linear(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias = {},
                   LinearOptions options = {});

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
  /// all-reduce), Shard of one of its dimensions (one reduce-scatter) or Root (one reduce).
  Placement output = Replicate{};
  /// Makes the output Replicate along the axis that splits out_features, by one all-gather.
  bool gather_output = false;
  /// A fused projection of several parts of equal sizes, as queries, keys and values: with parts > 1 the weight is
  /// (parts, out_features / parts, in_features), row after row what the weights of the parts are one under the other,
  /// and the output (..., parts, out_features / parts). The out axis splits every part, so that a rank has its share of
  /// each.
  Index parts = 1;
  /// The out axis cuts (the parts of) out_features, the in axis in_features, at multiples of these only: the width of
  /// an attention head, which no rank then has a piece of.
  Index out_unit = 1;
  Index in_unit = 1;
  /// Initial values of the weight, named as said above; U(-1/√in_features, 1/√in_features), PyTorch's, where empty.
  Initializer initial_weight = {};
  Initializer initial_bias = {};  ///< the same of the bias
  /// The weight and the bias are no parameters: they get no gradient.
  bool freeze = false;
  /// See functional::LinearOptions.
  bool overlap = true;
};

/// x·weightᵀ + bias, for x (..., in_features); the output is (..., out_features):
///
///                       data axis         out axis       in axis
///     weight, stored    options.storage   Shard(0)       Shard(1)
///     bias, stored      options.storage   Shard(0)       Replicate
///     x, used           Shard(d)          Replicate      Shard(last)
///     output            Shard(d)          Shard(last)    options.output
///
/// x may be Replicate on the data axis too. It is moved along the two others where it does not lie as it is used: along
/// the out axis from Shard(d), a part of the sequence, by an all-gather (backward: a reduce-scatter) and from Root by a
/// broadcast (backward: a reduce); along the in axis from anything, from Replicate without sending. What is cut in its
/// features along an axis that does not split in_features is refused: another layer must come first, or `axes` say so.
///
/// DistDL's general affine layer is this one on a P_out x P_in grid, with x Root along the out axis (broadcast to it)
/// and the output Root along the in axis (sum-reduced there), where the next layer, whose two axes are swapped, takes
/// it.
///
/// Initial values are a function of (seed, name, global index): the same on every grid. Element types: float,
/// double, bfloat16, half.
template <class T>
class DistributedLinear : public Module<T> {
 public:
  /// Does not communicate. Throws Error, the same on every rank, on features below 1, axes that the grid does not have
  /// or that are named twice, parts or units that do not divide the features, a dim, storage or output that is not one
  /// of those above, an output or gather_output that is of the other kind of layer alone, and storage of Shard{0} (of a
  /// weight in one part) where the units of out_features do not go evenly into the ranks of the out axis.
  DistributedLinear(const CartesianTopology& topology, LinearLayerOptions options);
  /// Collective where values have to move, over the root. Values that are given, in any distribution and on any
  /// topology with a common root: a weight (out, in) as PyTorch's, or (parts, out / parts, in), and a bias of (the
  /// parts of) out, or none, which makes a layer without. Taken as they are. in_features and out_features are the
  /// weight's (the features named must be, or 0).
  DistributedLinear(const CartesianTopology& topology, const DistributedTensor<T>& weight,
                    const DistributedTensor<T>& bias, LinearLayerOptions options);
  /// On a weight (out_features, in_features) that another layer may have too, as the embedding of a language model and
  /// its head do: one parameter, whose gradients are added and then reduced once. It is kept where it is, on its own
  /// topology, and is not among this layer's parameters(). in_features, out_features and storage are the weight's (the
  /// features named must be, or 0). Throws Error where the weight does not lie as the axes say.
  DistributedLinear(const Variable<T>& weight, LinearLayerOptions options);

  /// Collective over the topology where the parameters have changed and have to move, and where x or the output has.
  Variable<T> operator()(const Variable<T>& x) const;

  const LinearLayerOptions& options() const noexcept { return options_; }
  const LinearAxes& axes() const noexcept { return axes_; }
  const CartesianTopology& topology() const noexcept { return topology_; }
  const Variable<T>& weight() const noexcept { return weight_.stored(); }
  /// What the layer was made on where that is another's weight: weight() or, where it is frozen, what that is a
  /// constant copy of, with the same elements. Null where the layer has a weight of its own.
  const Variable<T>& shared_weight() const noexcept { return shared_weight_; }
  /// Null where the layer has none.
  const Variable<T>& bias() const noexcept { return bias_.stored(); }
  /// The two as a product takes them, Replicate along the data axis. Collective where they have changed and have to
  /// move.
  Variable<T> weight_in_use() const;
  Variable<T> bias_in_use() const;

  /// Where x of `shape` is best put: Shard(0) along the data axis (Replicate for a vector), Replicate along the others.
  Distribution input_distribution(const Shape& shape) const;

 private:
  /// All but the parameters.
  DistributedLinear(const CartesianTopology& topology, LinearLayerOptions options, const Shape& weight);
  /// How the bias lies where it is applied: as the rows of the weight.
  Distribution applied_bias() const;
  Distribution stored(const Distribution& applied) const;
  AppliedParameter<T> kept(const std::string& name, DistributedTensor<T> value, const Distribution& applied);
  AppliedParameter<T> initialized(const std::string& name, const Initializer& initial, const Distribution& applied);
  /// x where the product takes it.
  Variable<T> moved(const Variable<T>& x) const;

  CartesianTopology topology_;
  LinearLayerOptions options_;
  LinearAxes axes_;
  Distribution applied_;  ///< of the weight: Replicate along the data axis
  Variable<T> shared_weight_;
  AppliedParameter<T> weight_;
  AppliedParameter<T> bias_;
};

extern template class DistributedLinear<float>;
extern template class DistributedLinear<double>;
extern template class DistributedLinear<bfloat16>;
extern template class DistributedLinear<half>;

}  // namespace tartan
