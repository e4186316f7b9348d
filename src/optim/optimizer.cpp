#include <tartan/optim/optimizer.hpp>

#include <algorithm>
#include <cmath>
#include <unordered_set>
#include <utility>

#include <tartan/distributed/combine.hpp>
#include <tartan/distributed/leaves.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/on.hpp"
#include "kernels/updates.hpp"
#include "optim/rows.hpp"

namespace tartan {
namespace {

void require_not_negative(const char* name, double value) {
  require(value >= 0 && std::isfinite(value), "{} is {}, but must be at least 0 and finite", name, value);
}

void require_fraction(const char* name, double value) {
  require(0 <= value && value < 1, "{} is {}, but must be at least 0 and below 1", name, value);
}

void check(const AdagradOptions& options) {
  require_not_negative("epsilon", options.epsilon);
  require_not_negative("initial_accumulator", options.initial_accumulator);
}

/// One number for each row of a table, where the row is.
Distribution placed_as_rows(const Distribution& table) {
  auto placements = table.placements();
  auto options = table.options();
  for (int axis = 0; axis < table.grid().axes(); ++axis) {
    if (!table.placement(axis).is_shard(1)) continue;
    placements[static_cast<std::size_t>(axis)] = Replicate{};
    options.block_extents.erase(axis);
  }
  return {table.topology(), Shape{table.shape()[0]}, std::move(placements), std::move(options)};
}

}  // namespace

template <class T>
Optimizer<T>::Optimizer(std::vector<Variable<T>> parameters, double learning_rate)
    : parameters_(std::move(parameters)), learning_rate_{learning_rate} {
  require_not_negative("learning_rate", learning_rate);
  require(!parameters_.empty(), "an optimiser was given no parameters");
  std::unordered_set<const void*> seen;
  std::unordered_set<std::string> names;
  for (const auto& parameter : parameters_) {
    require(parameter.is_parameter(), "an optimiser was given a variable that is no parameter");
    require(!parameter.distribution().any(Placement::Kind::partial),
            "an optimiser does not change the terms of '{}', a parameter of {}; redistribute it", parameter.name(),
            parameter.distribution());
    require(seen.insert(&parameter.value()).second,
            "an optimiser was given the parameter '{}' twice: each step would change it twice", parameter.name());
    require(names.insert(parameter.name()).second,
            "an optimiser was given two parameters named '{}': layers of one name start with the same values; give "
            "each its own .name",
            parameter.name());
  }
}

template <class T>
void Optimizer<T>::set_learning_rate(double learning_rate) {
  require_not_negative("learning_rate", learning_rate);
  learning_rate_ = learning_rate;
}

template <class T>
void Optimizer<T>::set_steps(std::vector<Index> steps) {
  require(steps.size() == parameters_.size() && std::ranges::none_of(steps, [](Index n) { return n < 0; }),
          "an optimiser of {} parameters takes as many numbers of steps of at least 0, not [{}]", parameters_.size(),
          fmt::join(steps, ", "));
  steps_ = std::move(steps);
}

template <class T>
void Optimizer<T>::step() {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (parameters_[i].has_gradient()) check(i);
  }
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i].has_gradient()) continue;
    ++steps_[i];
    update(i);
  }
}

template <class T>
void Optimizer<T>::clear_gradients() {
  for (auto& parameter : parameters_) parameter.clear_gradient();
}

template <class T>
std::vector<DistributedTensor<Accumulator<T>>> Optimizer<T>::state(double value) const {
  using A = Accumulator<T>;
  std::vector<DistributedTensor<A>> result;
  for (const auto& parameter : parameters_) {
    result.push_back(DistributedTensor<A>::constant(parameter.distribution(), static_cast<A>(value)));
  }
  return result;
}

template <class T>
Sgd<T>::Sgd(std::vector<Variable<T>> parameters, SgdOptions options)
    : Optimizer<T>(std::move(parameters), options.learning_rate), options_{options} {
  require_not_negative("momentum", options_.momentum);
  require_not_negative("weight_decay", options_.weight_decay);
  require(options_.dampening <= 1, "dampening is {}, but must be at most 1", options_.dampening);
  require(!options_.nesterov || (options_.momentum > 0 && options_.dampening == 0),
          "nesterov needs a positive momentum and no dampening, not {} and {}", options_.momentum, options_.dampening);
  if (options_.momentum > 0) momentum_ = this->state(0);
}

template <class T>
void Sgd<T>::check(std::size_t i) const {
  const auto& parameter = this->parameters()[i];
  const bool plain = options_.momentum == 0 && options_.weight_decay == 0;
  require(plain || !std::holds_alternative<RowSparse<T>>(parameter.gradient()),
          "'{}' has a row-sparse gradient, which Sgd takes with momentum 0 and weight_decay 0 only, not {} and {}",
          parameter.name(), options_.momentum, options_.weight_decay);
}

template <class T>
void Sgd<T>::update(std::size_t i) {
  using A = Accumulator<T>;
  auto parameter = this->parameters()[i];
  const GradientRows<T> rows(parameter);
  const auto rate = static_cast<A>(this->learning_rate());
  if (options_.momentum == 0 && options_.weight_decay == 0) {
    return parameter.modify([&](Tensor<T>& weight) {
      kernels::on(weight.device(),
                  [&](auto where) { kernels::sgd_update(where, rows.rows(), rows.gradient(), rate, rows.of(weight)); });
    });
  }
  const kernels::MomentumRule<T> rule{.rate = rate,
                                      .momentum = static_cast<A>(options_.momentum),
                                      .kept = static_cast<A>(this->steps()[i] > 1 ? 1 - options_.dampening : 1),
                                      .decay = static_cast<A>(options_.weight_decay),
                                      .nesterov = options_.nesterov};
  parameter.modify([&](Tensor<T>& weight) {
    const auto update = [&](A* buffer) {
      kernels::on(weight.device(), [&](auto where) {
        kernels::momentum_update(where, rows.gradient().data, weight.elements(), rule, buffer, weight.data());
      });
    };
    if (momentum_.empty()) return update(nullptr);
    momentum_[i].modify([&](Tensor<A>& buffer) { update(buffer.data()); });
  });
}

template <class T>
Adagrad<T>::Adagrad(std::vector<Variable<T>> parameters, AdagradOptions options)
    : Optimizer<T>(std::move(parameters), options.learning_rate), options_{options} {
  check(options_);
  sums_ = this->state(options_.initial_accumulator);
}

template <class T>
void Adagrad<T>::update(std::size_t i) {
  using A = Accumulator<T>;
  auto parameter = this->parameters()[i];
  const GradientRows<T> rows(parameter);
  parameter.modify([&](Tensor<T>& weight) {
    sums_[i].modify([&](Tensor<A>& sum) {
      kernels::on(weight.device(), [&](auto where) {
        kernels::adagrad_update(where, rows.rows(), rows.gradient(), static_cast<A>(this->learning_rate()),
                                static_cast<A>(options_.epsilon), rows.of(sum), rows.of(weight));
      });
    });
  });
}

template <class T>
RowwiseAdagrad<T>::RowwiseAdagrad(std::vector<Variable<T>> parameters, AdagradOptions options)
    : Optimizer<T>(std::move(parameters), options.learning_rate), options_{options} {
  check(options_);
  for (const auto& parameter : this->parameters()) {
    require(parameter.shape().dimensions() == 2, "row-wise Adagrad takes tables of two dimensions, and '{}' is {}",
            parameter.name(), parameter.shape());
    if (options_.reproducible) require_leaves(parameter.distribution(), 1);
    sums_.push_back(DistributedTensor<Accumulator<T>>::constant(
        placed_as_rows(parameter.distribution()), static_cast<Accumulator<T>>(options_.initial_accumulator)));
  }
}

template <class T>
void RowwiseAdagrad<T>::update(std::size_t i) {
  using A = Accumulator<T>;
  auto parameter = this->parameters()[i];
  const GradientRows<T> rows(parameter, GradientRows<T>::Dense::by_rows);
  const auto& gradient = rows.gradient();
  const auto& placed = parameter.distribution();
  parameter.modify([&](Tensor<T>& weight) {
    const Device device = weight.device();
    Tensor<double> squares(Shape{gradient.rows}, device);
    Tensor<A> rates(Shape{gradient.rows}, device);
    if (options_.reproducible) {
      Tensor<double> leaves(Shape{gradient.rows, leaves_of(gradient.columns)}, device);
      kernels::on(device, [&](auto where) { kernels::leaf_squares(where, gradient, leaves.data()); });
      sum_leaves(placed, 1, leaves, squares);
    } else {
      kernels::on(device, [&](auto where) { kernels::row_squares(where, gradient, squares.data()); });
      combine_along(parameter.topology(), placed.axes_of(1), squares);
    }
    const kernels::RowwiseRule<T> rule{.rate = static_cast<A>(this->learning_rate()),
                                       .epsilon = static_cast<A>(options_.epsilon),
                                       .columns = static_cast<double>(parameter.shape()[1])};
    sums_[i].modify([&](Tensor<A>& sums) {
      kernels::on(device, [&](auto where) {
        kernels::rowwise_rates(where, rows.rows(), squares.data(), gradient.rows, rule, sums.data(), rates.data());
        kernels::rowwise_update(where, rows.rows(), gradient, rates.data(), rows.of(weight));
      });
    });
  });
}

template <class T>
Adam<T>::Adam(std::vector<Variable<T>> parameters, AdamOptions options)
    : Optimizer<T>(std::move(parameters), options.learning_rate), options_{options} {
  require_fraction("beta1", options_.beta1);
  require_fraction("beta2", options_.beta2);
  require_not_negative("epsilon", options_.epsilon);
  first_ = this->state(0);
  second_ = this->state(0);
}

template <class T>
void Adam<T>::update(std::size_t i) {
  using A = Accumulator<T>;
  auto parameter = this->parameters()[i];
  const GradientRows<T> rows(parameter);
  const auto n = static_cast<double>(this->steps()[i]);
  const double first_part = 1 - std::pow(options_.beta1, n);
  const double second_root = std::sqrt(1 - std::pow(options_.beta2, n));
  const double rate = this->learning_rate() / first_part;
  const kernels::AdamRule<T> rule{.rate = static_cast<A>(rows.is_sparse() ? rate * second_root : rate),
                                  .beta1 = static_cast<A>(options_.beta1),
                                  .new1 = static_cast<A>(1 - options_.beta1),
                                  .beta2 = static_cast<A>(options_.beta2),
                                  .new2 = static_cast<A>(1 - options_.beta2),
                                  .root_factor = static_cast<A>(rows.is_sparse() ? 1 : 1 / second_root),
                                  .epsilon = static_cast<A>(options_.epsilon)};
  parameter.modify([&](Tensor<T>& weight) {
    first_[i].modify([&](Tensor<A>& first) {
      second_[i].modify([&](Tensor<A>& second) {
        kernels::on(weight.device(), [&](auto where) {
          kernels::adam_update(where, rows.rows(), rows.gradient(), rule, rows.of(first), rows.of(second),
                               rows.of(weight));
        });
      });
    });
  });
}

#define INSTANTIATE(T)              \
  template class Optimizer<T>;      \
  template class Sgd<T>;            \
  template class Adagrad<T>;        \
  template class RowwiseAdagrad<T>; \
  template class Adam<T>;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
