#pragma once

#include <string>
#include <utility>

#include <tartan/autograd/variable.hpp>

#include "base/fail.hpp"
#include "kernels/on.hpp"

/// How operations compute their results and, in the backward pass, the gradients of their inputs.
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

/// Throws Error where the operation `name`, which is not linear in x, would have to take terms of a sum.
inline void refuse_partial(const char* name, const Distribution& x) {
  if (!x.any(Placement::Kind::partial)) return;
  fail("{} is not linear and does not take terms of a sum, {}; redistribute(x, {}) adds them", name, x,
       x.gradient().placements());
}

/// For the text of an error: the call that would place the operand `name`, which lies as `given`, as `wanted`; nothing
/// where none with a list of placements does.
inline std::string hint(const char* name, const Distribution& given, const Distribution& wanted) {
  const bool moves = given.shape() == wanted.shape() && given.topology() == wanted.topology() &&
                     given.placements() != wanted.placements() && given.options().block_extents.empty() &&
                     given.with(wanted.placements()) == wanted;
  return moves ? fmt::format("; redistribute({}, {})", name, wanted.placements()) : "";
}

/// Throws Error where the operands a and b of `operation` are not placed alike.
inline void require_alike(const char* operation, const char* name_of_b, const Distribution& a, const Distribution& b) {
  if (a != b) fail("{} takes two tensors placed alike, not {} and {}{}", operation, a, b, hint(name_of_b, b, a));
}

/// The placement of a 0-d sum over all elements.
inline Distribution summed(const Distribution& x) {
  auto placements = x.placements();
  for (auto& placement : placements) {
    if (placement.is_shard()) placement = Partial{};
  }
  return {x.topology(), Shape{}, std::move(placements)};
}

/// The tensor whose part `compute(where, out)` writes, where `out` (Tensor<T>&) lies.
template <class T, class Compute>
DistributedTensor<T> computed(Distribution distribution, Compute compute) {
  DistributedTensor<T> result(std::move(distribution));
  result.modify([&](Tensor<T>& out) { kernels::on(out.device(), [&](auto where) { compute(where, out); }); });
  return result;
}

}  // namespace tartan::rules
