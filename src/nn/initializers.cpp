#include <tartan/nn/initializers.hpp>

namespace tartan::initializers {

Initializer normal(double mean, double deviation) {
  return [=](const RandomStream& stream, Index position) { return mean + deviation * stream.normal(position); };
}

Initializer uniform(double low, double high) {
  return [=](const RandomStream& stream, Index position) { return low + (high - low) * stream.uniform(position); };
}

Initializer constant(double value) {
  return [=](const RandomStream&, Index) { return value; };
}

}  // namespace tartan::initializers
