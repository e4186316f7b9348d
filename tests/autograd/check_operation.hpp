#pragma once

#include <vector>

#include "autograd/logical.hpp"

namespace tartan::testing {

using Inputs = std::vector<Variable<double>>;

/// Linear in all inputs together, or in each of them: then integers give integers and everything is exact.
enum class Order { linear, bilinear, other };

/// An operation and its meaning on whole arrays.
struct Operation {
  std::string name;
  std::vector<Shape> shapes;  ///< of the inputs
  std::function<Variable<double>(const Inputs&)> apply;
  std::function<Flat(const std::vector<Flat>&)> meaning;
  Order order = Order::linear;
  double scale = 1;  ///< of the inputs

  bool exact() const { return order != Order::other; }
};

inline Numbers numbers_of(std::size_t input) { return input == 0 ? Numbers{1, -4} : Numbers{-2, 9}; }
inline Numbers direction_of(std::size_t input) { return input == 0 ? Numbers{3, -8} : Numbers{1, 2}; }
inline constexpr Numbers upstream_numbers{2, -5};

inline Flat flat(const Shape& shape, Numbers numbers, double scale = 1) {
  Flat values;
  for (Index i = 0; i < shape.elements(); ++i) values.push_back(static_cast<double>(numbers(i)) * scale);
  return values;
}

/// x with change(i, value) for this rank's element i; on x's device.
template <class Change>
DistributedTensor<double> changed(const DistributedTensor<double>& x, Change change) {
  auto part = x.local_on_host().clone();
  for (Index i = 0; i < part.elements(); ++i) part[i] = change(i, part[i]);
  return DistributedTensor<double>::from_local(x.distribution(), part, LocalCheck::none);
}

/// A tensor of which every rank has its part of `numbers` · scale, and its own term where it is Partial.
inline DistributedTensor<double> tensor(const Distribution& d, Numbers numbers, double scale = 1) {
  return changed(laid_out<double>(d, numbers), [=](Index, double value) { return value * scale; });
}

/// x + step · v
inline DistributedTensor<double> moved(const DistributedTensor<double>& x, const DistributedTensor<double>& v,
                                       double step) {
  const auto along = v.local_on_host();
  return changed(x, [&](Index i, double value) { return value + step * along[i]; });
}

/// What an operation should give, independent of placements.
struct Expected {
  Flat value;
  std::vector<Flat> gradients;

  explicit Expected(const Operation& operation) {
    std::vector<Flat> inputs;
    for (std::size_t i = 0; i < operation.shapes.size(); ++i) {
      inputs.push_back(flat(operation.shapes[i], numbers_of(i), operation.scale));
    }
    value = operation.meaning(inputs);
    const double step = operation.exact() ? 1 : 1e-4;
    for (auto& input : inputs) {
      Flat gradient;
      for (double& number : input) {
        const double before = number;
        number = before + step;
        const double above = loss(operation.meaning(inputs));
        number = before - step;
        gradient.push_back((above - loss(operation.meaning(inputs))) / (2 * step));
        number = before;
      }
      gradients.push_back(std::move(gradient));
    }
  }

  static double loss(const Flat& values) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
      sum += values[i] * static_cast<double>(upstream_numbers(static_cast<Index>(i)));
    return sum;
  }
};

/// <result, upstream> for an upstream that differs at every index.
inline Variable<double> loss_of(const Variable<double>& result) {
  const auto upstream = laid_out<double>(result.distribution().gradient(), upstream_numbers);
  return sum(result * Variable<double>(upstream));
}

inline void check_operation(const Operation& operation, const std::vector<Distribution>& placed,
                            const Expected& expected, Batch& batch) {
  std::string label = operation.name;
  for (const auto& d : placed) label += " " + d.to_string();
  INFO(label);

  Inputs inputs;
  std::vector<DistributedTensor<double>> directions;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    inputs.push_back(
        Variable<double>::parameter("input " + std::to_string(i), tensor(placed[i], numbers_of(i), operation.scale)));
    directions.push_back(tensor(placed[i], direction_of(i), operation.scale));
  }

  GradientTape tape;
  const auto result = operation.apply(inputs);
  const auto loss = loss_of(result);
  tape.backward(loss);

  const double tolerance = operation.exact() ? 0 : 1e-6;
  check_logical(result.value(), expected.value, operation.exact() ? 0 : 1e-12, label + ", value", batch);
  Flat mine{share(loss.value()), 0, 0, 0};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    REQUIRE(inputs[i].has_gradient());
    const auto gradient = inputs[i].dense_gradient();
    CHECK(gradient.distribution() == placed[i].gradient());
    check_logical(gradient, expected.gradients[i], tolerance, label + ", gradient", batch);
    mine[1] += share_of_product(gradient, directions[i]);
  }

  const auto loss_after = [&](double step) {
    Inputs others;
    for (std::size_t i = 0; i < inputs.size(); ++i) others.emplace_back(moved(inputs[i].value(), directions[i], step));
    return share(loss_of(operation.apply(others)).value());
  };
  const double step = operation.exact() ? 0.5 : 1.0 / 64;
  mine[2] = loss_after(step);
  mine[3] = loss_after(step / 2);
  batch.add(label + ", Taylor", mine, [=, order = operation.order](const Flat& sums) {
    const double wide = sums[2] - sums[0] - step * sums[1];
    const double narrow = sums[3] - sums[0] - step / 2 * sums[1];
    CHECK(sums[1] != 0);
    if (order == Order::linear) {
      CHECK(wide == 0);
      CHECK(narrow == 0);
    } else {
      CHECK(narrow != 0);
      CHECK(wide / narrow == (order == Order::bilinear ? Approx(4).epsilon(1e-12) : Approx(4).epsilon(0.05)));
    }
  });
}

}  // namespace tartan::testing
