#pragma once

#include <tartan/autograd/variable.hpp>

/// Where operations compute the gradients of their inputs.
namespace tartan::rules {

/// Where an operation's backward computes the gradient of an input without moving anything, per axis, from the
/// placements of the input and of the result (docs/design.md, Gradients).
inline Placement input_gradient(Placement input, Placement result) {
  if (!input.is_replicate()) return input.gradient();
  if (result.is_replicate() || result.is_root()) return result;
  return Partial{};
}

inline Distribution input_gradient(const Distribution& input, const Distribution& result) {
  auto placements = input.placements();
  for (std::size_t axis = 0; axis < placements.size(); ++axis) {
    placements[axis] = input_gradient(placements[axis], result.placements()[axis]);
  }
  return input.with(std::move(placements));
}

/// The placement of a 0-d sum over all elements.
inline Distribution summed(const Distribution& x) {
  auto placements = x.placements();
  for (auto& placement : placements) {
    if (placement.is_shard()) placement = Partial{};
  }
  return {x.topology(), Shape{}, std::move(placements)};
}

template <class T>
DistributedTensor<T> scalar(const Distribution& distribution, double value) {
  DistributedTensor<T> result(distribution);
  result.modify([&](Tensor<T>& out) { out.fill(static_cast<T>(value)); });
  return result;
}

}  // namespace tartan::rules
