#pragma once

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <tartan/base/half_types.hpp>

#include "on_devices.hpp"
#include "support/catch.hpp"

/// What the tests of kernels that compute in double share.
namespace tartan::kernels::testing {

/// Numbers around 0, of `deviation`.
template <class T>
std::vector<T> drawn(Index count, std::uint64_t seed, double deviation = 1) {
  std::mt19937_64 random{seed};
  std::normal_distribution<double> normal{0, deviation};
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = static_cast<T>(normal(random));
  return values;
}

template <class T>
double at(const std::vector<T>& values, Index i) {
  return static_cast<double>(values[static_cast<std::size_t>(i)]);
}

/// Every number is the expected one, rounded once, but for an error of the order in which doubles are added.
template <class T>
void check_rounded(const std::vector<T>& values, const std::vector<double>& expected, double error = 1e-13) {
  REQUIRE(values.size() == expected.size());
  bool near = true;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = static_cast<double>(values[i]);
    const double unit = static_cast<double>(std::numeric_limits<T>::epsilon()) / 2;
    const double least = static_cast<double>(std::numeric_limits<T>::denorm_min());
    const double bound = (unit + error) * std::abs(expected[i]) * 1.001 + error + least;
    near = near && std::abs(value - expected[i]) <= bound;
  }
  CHECK(near);
}

}  // namespace tartan::kernels::testing
