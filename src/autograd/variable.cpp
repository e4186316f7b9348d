#include <tartan/autograd/variable.hpp>

#include <utility>

#include <tartan/autograd/tape.hpp>
#include <tartan/distributed/redistribution.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/elementwise.hpp"

namespace tartan {
namespace {

template <class T>
DistributedTensor<T> dense(const Gradient<T>& gradient) {
  const auto* sparse = std::get_if<RowSparse<T>>(&gradient);
  return sparse != nullptr ? sparse->dense() : std::get<DistributedTensor<T>>(gradient);
}

template <class T>
const Distribution& distribution_of(const Gradient<T>& gradient) {
  const auto* sparse = std::get_if<RowSparse<T>>(&gradient);
  return sparse != nullptr ? sparse->distribution : std::get<DistributedTensor<T>>(gradient).distribution();
}

/// Two distributions of one tensor in which its terms can be added without moving: their common placements, Partial
/// where they differ. Every cell into Partial is local.
Distribution joined(const Distribution& a, const Distribution& b) {
  auto placements = a.placements();
  for (std::size_t axis = 0; axis < placements.size(); ++axis) {
    if (placements[axis] != b.placements()[axis]) placements[axis] = Partial{};
  }
  return a.with(std::move(placements));
}

/// The same gradient placed otherwise: row-sparse stays so where it can move by rows.
template <class T>
Gradient<T> moved(const Gradient<T>& gradient, const Distribution& to) {
  const auto* sparse = std::get_if<RowSparse<T>>(&gradient);
  if (sparse != nullptr && moves_by_rows(sparse->distribution, to)) return redistribute(*sparse, to);
  return redistribute(dense(gradient), to);
}

template <class T>
Gradient<T> sum(const Gradient<T>& a, const Gradient<T>& b) {
  const auto target = joined(distribution_of(a), distribution_of(b));
  const auto x = moved(a, target);
  const auto y = moved(b, target);
  const auto* sparse_x = std::get_if<RowSparse<T>>(&x);
  const auto* sparse_y = std::get_if<RowSparse<T>>(&y);
  if (sparse_x != nullptr && sparse_y != nullptr) return add(*sparse_x, *sparse_y);
  const auto dense_x = dense(x);
  const auto dense_y = dense(y);
  return rules::computed<T>(target, [&](auto where, Tensor<T>& out) {
    kernels::add(where, dense_x.local().data(), dense_y.local().data(), out.elements(), out.data());
  });
}

}  // namespace

template <class T>
Variable<T> Variable<T>::result(DistributedTensor<T> value, bool requires_gradient) {
  Variable variable(std::move(value), requires_gradient, {});
  if (requires_gradient && GradientTape::active() != nullptr) variable.node_->tape = GradientTape::active()->id();
  return variable;
}

template <class T>
const DistributedTensor<T>& Variable<T>::value() const {
  require(node_ != nullptr, "an empty variable is used");
  return node_->value;
}

template <class T>
void Variable<T>::assign(const DistributedTensor<T>& source) {
  const bool shares = source.local().elements() > 0 && source.local().data() == value().local().data();
  redistribute_into(shares ? source.clone() : source, value());
}

template <class T>
const std::string& Variable<T>::name() const {
  static const std::string none;
  return node_ ? node_->name : none;
}

template <class T>
bool Variable<T>::requires_gradient() const {
  return node_ != nullptr && node_->requires_gradient;
}

template <class T>
bool Variable<T>::is_recorded_by(const GradientTape& tape) const {
  return requires_gradient() && (is_parameter() || node_->tape == tape.id());
}

template <class T>
bool Variable<T>::has_gradient() const {
  return node_ != nullptr && node_->gradient.has_value();
}

template <class T>
const Gradient<T>& Variable<T>::gradient() const {
  require(is_parameter(),
          "a gradient is asked of a constant or of the result of an operation, which keep none: Variable::parameter() "
          "makes a variable that does");
  require(has_gradient(),
          "the variable '{}' has no gradient: no backward pass reached it since the last clear_gradient()", name());
  return *node_->gradient;
}

template <class T>
DistributedTensor<T> Variable<T>::dense_gradient() const {
  return dense(gradient());
}

template <class T>
void Variable<T>::clear_gradient() {
  if (node_) node_->gradient.reset();
}

template <class T>
void Variable<T>::scale_gradient(double factor) const {
  if (!has_gradient()) return;
  // Two parameters may share a gradient's elements: the product is another tensor.
  const auto scaled = [&](const Tensor<T>& part) {
    Tensor<T> out(part.shape(), part.device());
    kernels::on(part.device(), [&](auto where) {
      kernels::scale(where, part.data(), static_cast<Accumulator<T>>(factor), part.elements(), out.data());
    });
    return out;
  };
  if (auto* const sparse = std::get_if<RowSparse<T>>(&*node_->gradient)) {
    sparse->values = scaled(sparse->values);
  } else {
    const auto& whole = std::get<DistributedTensor<T>>(*node_->gradient);
    node_->gradient = DistributedTensor<T>::from_local(whole.distribution(), scaled(whole.local()), LocalCheck::none);
  }
}

template <class T>
void Variable<T>::contribute(Gradient<T> contribution) const {
  if (!requires_gradient()) return;
  auto* const tape = GradientTape::replaying();
  require(tape != nullptr, "a gradient reached {} outside of a backward pass",
          is_parameter() ? "'" + name() + "'" : "a variable of " + distribution().to_string());
  if (!is_recorded_by(*tape)) {
    require(
        !GradientTape::is_over(node_->tape),
        "a gradient reached a result of {} that was recorded by an earlier tape, or by none, so that its parameters "
        "would get none: record both on one tape, or make a constant of it, Variable(y.value())",
        distribution());
    return;
  }
  require(distribution_of(contribution).shape() == shape(), "a gradient of the shape {} for a variable of the shape {}",
          distribution_of(contribution).shape().to_string(), shape().to_string());
  auto& pending = node_->pending;
  if (is_parameter() && !pending) tape->reached(*this);
  if (pending) tape->catch_up();
  pending = pending ? sum(*pending, contribution) : std::move(contribution);
}

template <class T>
std::optional<DistributedTensor<T>> Variable<T>::take_contributions() const {
  if (node_ == nullptr || !node_->pending) return std::nullopt;
  const auto sum = dense(*node_->pending);
  const auto home = distribution().gradient();
  auto* const tape = GradientTape::replaying();
  auto result = tape != nullptr ? tape->redistribute_meanwhile(sum, home) : redistribute(sum, home);
  node_->pending.reset();
  return result;
}

template <class T>
void Variable<T>::pass_contributions_to(const Variable& source) const {
  if (node_ == nullptr || !node_->pending) return;
  auto gradient = *std::exchange(node_->pending, {});
  if (topology() == source.topology()) return source.contribute(std::move(gradient));
  if (auto* const tape = GradientTape::replaying()) tape->catch_up();
  source.contribute(redistribute(dense(gradient), source.distribution().gradient()));
}

template <class T>
void Variable<T>::end_pass(const std::vector<Variable>& reached, bool keep) {
  const auto add = [](const Variable& parameter, Gradient<T> more) {
    auto& kept = parameter.node_->gradient;
    kept = kept ? sum(*kept, more) : std::move(more);
  };
  std::vector<Variable> parameters;
  std::vector<DistributedTensor<T>> gradients;
  std::vector<Distribution> homes;
  for (const auto& parameter : reached) {
    const auto pending = std::exchange(parameter.node_->pending, {});
    if (!keep || !pending) continue;
    const auto home = parameter.distribution().gradient();
    if (std::holds_alternative<RowSparse<T>>(*pending)) {
      add(parameter, moved(*pending, home));
      continue;
    }
    parameters.push_back(parameter);
    gradients.push_back(dense(*pending));
    homes.push_back(home);
  }
  const auto at_home = redistribute_together(std::move(gradients), homes);
  for (std::size_t i = 0; i < parameters.size(); ++i) add(parameters[i], at_home[i]);
}

#define INSTANTIATE(T) template class Variable<T>;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
