#pragma once

#include <cstdint>
#include <functional>

#include <tartan/base/random.hpp>

namespace tartan {

/// Initial values as a function of a parameter's random stream (its seed and name) and the element's row-major position
/// in the global tensor: the same on every grid.
using Initializer = std::function<double(const RandomStream& stream, Index position)>;

namespace initializers {

/// N(mean, deviation²)
Initializer normal(double mean = 0, double deviation = 1);
/// U(low, high)
Initializer uniform(double low, double high);
Initializer constant(double value);

}  // namespace initializers
}  // namespace tartan
