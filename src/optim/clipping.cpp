#include <tartan/optim/clipping.hpp>

#include <cmath>
#include <span>
#include <unordered_set>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/on.hpp"

namespace tartan {
namespace {

/// True where this rank has the first of all copies.
bool counts(const Distribution& d) {
  const int position = d.topology().rank();
  if (!d.holds(position)) return false;
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    if (d.placement(axis).is_replicate() && d.grid().coordinate(position, axis) != 0) return false;
  }
  return true;
}

template <class T>
double sum_of_squares(const Gradient<T>& gradient) {
  const auto* const sparse = std::get_if<RowSparse<T>>(&gradient);
  const auto* const whole = sparse == nullptr ? &std::get<DistributedTensor<T>>(gradient) : nullptr;
  const auto& part = sparse != nullptr ? sparse->values : whole->local();
  if (part.elements() == 0 || !counts(sparse != nullptr ? sparse->distribution : whole->distribution())) return 0;
  Tensor<double> sum(Shape{1}, part.device());
  kernels::on(part.device(), [&](auto where) {
    kernels::inner_product(where, part.data(), part.data(), part.elements(), sum.data());
  });
  return sum.to(Device{})[0];
}

}  // namespace

template <class T>
double gradient_norm(const std::vector<Variable<T>>& parameters) {
  if (parameters.empty()) return 0;
  const auto& root = parameters.front().topology().root();
  double sum = 0;
  std::unordered_set<const void*> seen;
  for (const auto& parameter : parameters) {
    // Communicators that are not the same are so on every rank.
    require(parameter.topology().root().native() == root.native(),
            "a norm of gradients takes parameters with one root: '{}' lies on another than '{}'", parameter.name(),
            parameters.front().name());
    require(seen.insert(&parameter.value()).second, "a norm of gradients was given the parameter '{}' twice",
            parameter.name());
    if (parameter.has_gradient()) sum += sum_of_squares(parameter.gradient());
  }
  if (!root.is_null()) root.all_reduce(std::span<const double>(&sum, 1), std::span<double>(&sum, 1));
  return std::sqrt(sum);
}

template <class T>
double clip_gradient_norm(const std::vector<Variable<T>>& parameters, double max_norm) {
  require(max_norm >= 0, "max_norm is {}, but must be at least 0", max_norm);
  const double norm = gradient_norm(parameters);
  if (!std::isfinite(norm) || norm <= max_norm) return norm;
  for (const auto& parameter : parameters) parameter.scale_gradient(max_norm / (norm + 1e-6));
  return norm;
}

#define INSTANTIATE(T)                                            \
  template double gradient_norm(const std::vector<Variable<T>>&); \
  template double clip_gradient_norm(const std::vector<Variable<T>>&, double);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
