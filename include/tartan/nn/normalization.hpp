#pragma once

#include <optional>
#include <string>

#include <tartan/autograd/normalization.hpp>
#include <tartan/nn/module.hpp>
#include <tartan/partition/cartesian_topology.hpp>

namespace tartan {

struct NormalizationOptions {
  /// Names the parameters: "<name>.weight" and "<name>.bias".
  std::string name = "norm";
  Index features = 0;  ///< of the last dimension of x, at least 1
  /// At least 0. None: 1e-5 for LayerNorm, numeric_limits<T>::epsilon() for RMSNorm, as in PyTorch.
  std::optional<double> epsilon = {};
  bool weight = true;
  bool bias = true;  ///< of LayerNorm
  /// The axis of the grid that splits the features: x is Shard(last) there, the parameters are Shard(0). Along other
  /// axes they are Replicate, and x is sharded in any dimensions before the last, or Replicate.
  std::optional<int> features_axis = {};
};

/// functional::layer_norm with a weight of ones and a bias of zeros, on any grid. Element types: float, double,
/// bfloat16, half.
template <class T>
class DistributedLayerNorm : public Module<T> {
 public:
  /// Does not communicate. Throws Error, the same on every rank, on features below 1, an epsilon below 0 and an axis
  /// that the grid does not have.
  DistributedLayerNorm(const CartesianTopology& topology, NormalizationOptions options);

  /// Collective over the topology where the features are split: see functional::layer_norm.
  Variable<T> operator()(const Variable<T>& x) const {
    return functional::layer_norm(x, weight_, bias_, *options_.epsilon);
  }

  const NormalizationOptions& options() const noexcept { return options_; }
  /// Null where the layer has none.
  const Variable<T>& weight() const noexcept { return weight_; }
  const Variable<T>& bias() const noexcept { return bias_; }

 private:
  NormalizationOptions options_;
  Variable<T> weight_;
  Variable<T> bias_;
};

/// functional::rms_norm with a weight of ones, on any grid. Element types: float, double, bfloat16, half.
template <class T>
class DistributedRMSNorm : public Module<T> {
 public:
  /// As DistributedLayerNorm; options.bias says nothing.
  DistributedRMSNorm(const CartesianTopology& topology, NormalizationOptions options);

  /// Collective over the topology where the features are split: see functional::rms_norm.
  Variable<T> operator()(const Variable<T>& x) const { return functional::rms_norm(x, weight_, options_.epsilon); }

  const NormalizationOptions& options() const noexcept { return options_; }
  /// Null where the layer has none.
  const Variable<T>& weight() const noexcept { return weight_; }

 private:
  NormalizationOptions options_;
  Variable<T> weight_;
};

extern template class DistributedLayerNorm<float>;
extern template class DistributedLayerNorm<double>;
extern template class DistributedLayerNorm<bfloat16>;
extern template class DistributedLayerNorm<half>;
extern template class DistributedRMSNorm<float>;
extern template class DistributedRMSNorm<double>;
extern template class DistributedRMSNorm<bfloat16>;
extern template class DistributedRMSNorm<half>;

}  // namespace tartan
