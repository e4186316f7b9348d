#pragma once

#include <cmath>

#include "kernels/activations.hpp"
#include "kernels/elementary.hpp"

/// Smooth activations and their slopes, in double, for every device.
namespace tartan::kernels {

/// 1 / (1 + exp(-x))
TARTAN_INLINE constexpr double sigmoid(double x) {
  const double z = exp_negative(x < 0 ? -x : x);
  return (x < 0 ? z : 1) / (1 + z);
}

/// x·Φ(x), Φ the distribution function of N(0, 1). Hendrycks, Gimpel: Gaussian error linear units, 2016.
struct Gelu {
  template <class Real>
  TARTAN_INLINE static constexpr Real distribution(Real x) {
    return std::erfc(x * -0.70710678118654752440) / 2;
  }
  template <class Real>
  TARTAN_INLINE static constexpr Real value(Real x) {
    return x * distribution(x);
  }
  template <class Real>
  TARTAN_INLINE static constexpr Real slope(Real x) {
    constexpr double density_at_0 = 0.39894228040143267794;
    return distribution(x) + x * density_at_0 * exp_negative(x * x / 2);
  }
};

/// The same with Φ(x) as (1 + tanh(u)) / 2 = sigmoid(2u), u = sqrt(2/π)·(x + 0.044715·x³).
struct GeluTanh {
  static constexpr double twice_root = 1.5957691216057307117;  // 2·sqrt(2/π)
  static constexpr double cubic = 0.044715;

  TARTAN_INLINE static constexpr double value(double x) { return x * sigmoid(twice_root * (x + cubic * x * x * x)); }
  TARTAN_INLINE static constexpr double slope(double x) {
    constexpr double far = 64;  // from there on the sigmoid is 0 or 1, and stays so where a power of x overflows
    x = x < -far ? -far : x > far ? far : x;
    const double s = sigmoid(twice_root * (x + cubic * x * x * x));
    return s + x * (twice_root * (1 + 3 * cubic * x * x)) * (s * (1 - s));
  }
};

/// x·sigmoid(x), also called swish.
struct Silu {
  TARTAN_INLINE static constexpr double value(double x) { return x * sigmoid(x); }
  TARTAN_INLINE static constexpr double slope(double x) {
    const double s = sigmoid(x);
    return s * (1 + x * (1 - s));
  }
};

/// call(f), f one of those above.
template <class Call>
void with_activation(Activation f, Call call) {
  switch (f) {
    case Activation::gelu:
      return call(Gelu{});
    case Activation::gelu_tanh:
      return call(GeluTanh{});
    case Activation::silu:
      return call(Silu{});
  }
}

}  // namespace tartan::kernels
