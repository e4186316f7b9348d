#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "kernels/cpu/multiversion.hpp"

/// Elementary functions without branches, which a compiler turns into vector code, and which give the same bits on
/// every machine. Within 3 units in the last place.
namespace tartan::kernels {

/// exp(-t) for t >= 0, or a little less: 0 where it would be below 3e-308, NaN for NaN.
TARTAN_INLINE constexpr double exp_negative(double t) {
  constexpr double log2_e = 1.4426950408889634;
  constexpr double ln2_high = 0x1.62e42fefa3800p-1;  // its 11 low bits are 0: multiples up to 2^10 are exact
  constexpr double ln2_low = 0x1.ef35793c76730p-45;
  constexpr double round_to_integer = 0x1.8p52;
  constexpr auto inverse_factorials = [] {
    std::array<double, 14> values{1};
    double factorial = 1;
    for (int k = 1; k < 14; ++k) values[k] = 1 / (factorial *= k);
    return values;
  }();

  const bool vanishes = t > 708;
  t = vanishes ? 708 : t;
  const double shifted = -t * log2_e + round_to_integer;
  const double n = shifted - round_to_integer;
  const double r = (-t - n * ln2_high) - n * ln2_low;
  double series = inverse_factorials[13];
  for (int k = 12; k >= 0; --k) series = series * r + inverse_factorials[k];
  const auto power = std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023) << 52);
  return vanishes ? 0 : series * power;
}

/// The same in float: 0 where it would be below 2e-38.
TARTAN_INLINE constexpr float exp_negative(float t) {
  constexpr float log2_e = 1.44269504f;
  constexpr float ln2_high = 0x1.62ep-1f;  // its 11 low bits are 0: multiples up to 2^11 are exact
  constexpr float ln2_low = 0x1.0bfbe8p-15f;
  constexpr float round_to_integer = 0x1.8p23f;
  constexpr std::array<float, 8> inverse_factorials{1.0f,      1.0f,       1.0f / 2,   1.0f / 6,
                                                    1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040};

  const bool vanishes = t > 87;
  t = vanishes ? 87 : t;
  const float shifted = -t * log2_e + round_to_integer;
  const float n = shifted - round_to_integer;
  const float r = (-t - n * ln2_high) - n * ln2_low;
  float series = inverse_factorials[7];
  for (int k = 6; k >= 0; --k) series = series * r + inverse_factorials[k];
  const auto power = std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) + 127) << 23);
  return vanishes ? 0 : series * power;
}

/// exp(x - most) for x <= most, and 0 where that is below 3e-308. NaN where both are infinite.
TARTAN_INLINE constexpr double exp_of_difference(double x, double most) {
  const double t = most - x;
  const double value = exp_negative(t);
  return t > 708 ? 0 : value;
}

/// log(1 + z) for 0 <= z <= 1, as 2 artanh(z / (2 + z)).
TARTAN_INLINE constexpr double log1p_unit(double z) {
  constexpr auto odd_inverses = [] {
    std::array<double, 16> values{};
    for (int k = 0; k < 16; ++k) values[k] = 1.0 / (2 * k + 1);
    return values;
  }();

  const double s = z / (2 + z);
  const double square = s * s;
  double series = odd_inverses[15];
  for (int k = 14; k >= 0; --k) series = series * square + odd_inverses[k];
  return 2 * s * series;
}

/// max(x, 0) - x·y + log(1 + exp(-|x|)): the binary cross-entropy of the logit x against the label y.
TARTAN_INLINE constexpr double cross_entropy(double x, double y) {
  return (x < 0 ? 0 : x) - x * y + log1p_unit(exp_negative(x < 0 ? -x : x));
}

/// Its derivative by x, sigmoid(x) - y.
TARTAN_INLINE constexpr double cross_entropy_slope(double x, double y) {
  const double z = exp_negative(x < 0 ? -x : x);
  return (x < 0 ? z : 1) / (1 + z) - y;
}

}  // namespace tartan::kernels
