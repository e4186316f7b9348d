#include <tartan/nn/normalization.hpp>

#include <limits>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan {
namespace {

/// Where the parameters lie; throws on options that do not fit.
Distribution parameters_on(const CartesianTopology& topology, const NormalizationOptions& options) {
  const auto& name = options.name;
  require(options.features >= 1, "the normalisation '{}' needs features of at least 1, not {}", name, options.features);
  require(options.epsilon.value_or(0) >= 0, "the normalisation '{}' needs an epsilon of at least 0, not {}", name,
          options.epsilon.value_or(0));
  const int axes = topology.grid().axes();
  Placements placements(static_cast<std::size_t>(axes), Replicate{});
  if (const auto axis = options.features_axis) {
    require(0 <= *axis && *axis < axes, "the normalisation '{}' names axis {} of a grid of {} axes", name, *axis, axes);
    placements[static_cast<std::size_t>(*axis)] = Shard{0};
  }
  return {topology, Shape{options.features}, std::move(placements)};
}

}  // namespace

template <class T>
DistributedLayerNorm<T>::DistributedLayerNorm(const CartesianTopology& topology, NormalizationOptions options)
    : options_(std::move(options)) {
  const auto d = parameters_on(topology, options_);
  options_.epsilon = options_.epsilon.value_or(1e-5);
  if (options_.weight) {
    weight_ = this->add_parameter(options_.name + ".weight", DistributedTensor<T>::constant(d, static_cast<T>(1)));
  }
  if (options_.bias) bias_ = this->add_parameter(options_.name + ".bias", DistributedTensor<T>::zeros(d));
}

template <class T>
DistributedRMSNorm<T>::DistributedRMSNorm(const CartesianTopology& topology, NormalizationOptions options)
    : options_(std::move(options)) {
  const auto d = parameters_on(topology, options_);
  options_.epsilon = options_.epsilon.value_or(static_cast<double>(std::numeric_limits<T>::epsilon()));
  if (options_.weight) {
    weight_ = this->add_parameter(options_.name + ".weight", DistributedTensor<T>::constant(d, static_cast<T>(1)));
  }
}

#define INSTANTIATE(T)                    \
  template class DistributedLayerNorm<T>; \
  template class DistributedRMSNorm<T>;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
