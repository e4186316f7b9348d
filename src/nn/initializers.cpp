#include <tartan/nn/initializers.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan {

template <class T>
DistributedTensor<T> initial_values(const Distribution& distribution, const Initializer& initial, std::uint64_t seed,
                                    const std::string& name) {
  const RandomStream stream(seed, name);
  const auto& shape = distribution.shape();
  return DistributedTensor<T>::from_function(
      distribution, [&](std::span<const Index> index) { return initial(stream, shape.flat(index)); });
}

template <class T>
void initialize(Variable<T> parameter, const Initializer& initial, std::uint64_t seed) {
  require(parameter.is_parameter(), "initial values depend on a parameter's name, and {} is none",
          parameter.distribution());
  parameter.assign(initial_values<T>(parameter.distribution(), initial, seed, parameter.name()));
}

#define INSTANTIATE(T)                                                                                 \
  template DistributedTensor<T> initial_values(const Distribution&, const Initializer&, std::uint64_t, \
                                               const std::string&);                                    \
  template void initialize(Variable<T>, const Initializer&, std::uint64_t);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

namespace initializers {
namespace {

/// The standard normal distribution function and its density.
double phi(double x) { return std::erfc(-x * std::numbers::sqrt2 / 2) / 2; }
double density(double x) { return std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2; }

/// The inverse of phi for 0 < p <= 1/2: Abramowitz and Stegun 26.2.23, within 4.5e-4, and two steps of Halley's method,
/// each of which cubes the error.
double lower_quantile(double p) {
  const double t = std::sqrt(-2 * std::log(p));
  double x = (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t;
  for (int step = 0; step < 2; ++step) {
    const double newton = (phi(x) - p) / density(x);
    x -= newton / (1 + x * newton / 2);
  }
  return x;
}

}  // namespace

Initializer normal(double mean, double deviation) {
  require(deviation >= 0, "a normal distribution of deviation {}", deviation);
  return [=](const RandomStream& stream, Index position) { return mean + deviation * stream.normal(position); };
}

Initializer uniform(double low, double high) {
  require(low <= high, "a uniform distribution on [{}, {}]", low, high);
  return [=](const RandomStream& stream, Index position) { return low + (high - low) * stream.uniform(position); };
}

Initializer constant(double value) {
  return [=](const RandomStream&, Index) { return value; };
}

Initializer trunc_normal(double mean, double deviation, double low, double high) {
  require(deviation > 0 && low < high, "a truncated normal distribution of deviation {} on [{}, {}]", deviation, low,
          high);
  // Of a window above the mean the mirror image: small probabilities are exact, those near 1 are not.
  const double sign = (low - mean) + (high - mean) > 0 ? -1 : 1;
  const double a = sign * ((sign > 0 ? low : high) - mean) / deviation;
  const double b = sign * ((sign > 0 ? high : low) - mean) / deviation;
  const double first = phi(a);
  const double width = phi(b) - first;
  require(width > 0, "[{}, {}] holds nothing of a normal distribution of mean {} and deviation {}", low, high, mean,
          deviation);
  return [=](const RandomStream& stream, Index position) {
    const double p = std::max(first + width * stream.uniform(position), std::numeric_limits<double>::min());
    const double x = p <= 0.5 ? lower_quantile(p) : -lower_quantile(std::max(1 - p, 0x1p-53));
    return std::clamp(mean + deviation * sign * x, low, high);
  };
}

Fans fans_of(const Shape& weight) {
  require(weight.dimensions() >= 2, "a weight (out, in, ...) has fans, not a tensor of the shape {}", weight);
  const auto field = static_cast<double>(weight.elements(2, weight.dimensions()));
  return {.in = static_cast<double>(weight[1]) * field, .out = static_cast<double>(weight[0]) * field};
}

double gain(Nonlinearity nonlinearity, double slope) {
  switch (nonlinearity) {
    case Nonlinearity::linear:
    case Nonlinearity::sigmoid:
      return 1;
    case Nonlinearity::tanh:
      return 5.0 / 3;
    case Nonlinearity::relu:
      return std::numbers::sqrt2;
    case Nonlinearity::leaky_relu:
      return std::sqrt(2 / (1 + slope * slope));
    case Nonlinearity::selu:
      return 0.75;
  }
  return 1;
}

Initializer xavier_uniform(const Shape& weight, double gain) {
  const auto fans = fans_of(weight);
  const double bound = gain * std::sqrt(6 / (fans.in + fans.out));
  return uniform(-bound, bound);
}

Initializer xavier_normal(const Shape& weight, double gain) {
  const auto fans = fans_of(weight);
  return normal(0, gain * std::sqrt(2 / (fans.in + fans.out)));
}

namespace {

double fan(const Shape& weight, const KaimingOptions& options) {
  const auto fans = fans_of(weight);
  return options.fan == Fan::in ? fans.in : fans.out;
}

}  // namespace

Initializer kaiming_uniform(const Shape& weight, KaimingOptions options) {
  const double bound = options.gain * std::sqrt(3 / fan(weight, options));
  return uniform(-bound, bound);
}

Initializer kaiming_normal(const Shape& weight, KaimingOptions options) {
  return normal(0, options.gain / std::sqrt(fan(weight, options)));
}

}  // namespace initializers
}  // namespace tartan
