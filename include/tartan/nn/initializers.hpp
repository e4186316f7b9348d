#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <tartan/autograd/variable.hpp>
#include <tartan/base/random.hpp>
#include <tartan/base/shape.hpp>

namespace tartan {

/// Initial values as a function of a parameter's random stream (its seed and name) and the element's row-major position
/// in the global tensor: the same on every grid.
using Initializer = std::function<double(const RandomStream& stream, Index position)>;

/// The tensor of the elements that `initial` gives the parameter `name`. Does not communicate.
template <class T>
DistributedTensor<T> initial_values(const Distribution& distribution, const Initializer& initial, std::uint64_t seed,
                                    const std::string& name);

/// Fills a parameter anew, with what a layer made with that seed and initializer would have. Every rank calls it; does
/// not communicate. Throws Error where the variable is no parameter: its values depend on its name.
template <class T>
void initialize(Variable<T> parameter, const Initializer& initial, std::uint64_t seed = 0);

namespace initializers {

/// N(mean, deviation²). Throws Error unless deviation >= 0.
Initializer normal(double mean = 0, double deviation = 1);
/// U(low, high). Throws Error unless low <= high.
Initializer uniform(double low, double high);
Initializer constant(double value);
/// N(mean, deviation²) under the condition that low <= x <= high, as the inverse of its distribution function at one
/// uniform number. Throws Error unless low < high, deviation > 0 and the window holds some of the distribution.
Initializer trunc_normal(double mean = 0, double deviation = 1, double low = -2, double high = 2);

/// How many inputs an output of a weight (out, in, ...) has and how many outputs an input: `in`, `out`, each times the
/// extents of the further dimensions. A fused weight is told by one of its parts.
struct Fans {
  double in = 0;
  double out = 0;
};
/// Throws Error unless there are at least two dimensions.
Fans fans_of(const Shape& weight);

enum class Nonlinearity { linear, sigmoid, tanh, relu, leaky_relu, selu };
/// The factor on a weight's deviation before a nonlinearity, PyTorch's calculate_gain: 1, 1, 5/3, √2, √(2 / (1 +
/// slope²)) and 3/4.
double gain(Nonlinearity nonlinearity, double slope = 0.01);

/// U(-a, a), a = gain·√(6 / (in + out)), with the fans of the whole `weight`. Throws as fans_of().
/// Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks. AISTATS 2010.
Initializer xavier_uniform(const Shape& weight, double gain = 1);
/// N(0, gain²·2 / (in + out))
Initializer xavier_normal(const Shape& weight, double gain = 1);

enum class Fan { in, out };
struct KaimingOptions {
  Fan fan = Fan::in;  ///< in: forward keeps its variance; out: backward does
  double gain = initializers::gain(Nonlinearity::relu);
};
/// U(-a, a), a = gain·√(3 / fan), with the fan of the whole `weight`. Throws as fans_of().
/// He, Zhang, Ren, Sun: Delving deep into rectifiers. ICCV 2015.
Initializer kaiming_uniform(const Shape& weight, KaimingOptions options = {});
/// N(0, gain² / fan)
Initializer kaiming_normal(const Shape& weight, KaimingOptions options = {});

}  // namespace initializers
}  // namespace tartan
