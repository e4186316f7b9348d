#pragma once

#include <bit>
#include <compare>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace tartan {

namespace detail {

/// `value` as a float that rounds on to any format of at most 22 bits as `value` itself does: where it is not exact,
/// the neighbour whose last bit is 1 (rounding to odd).
constexpr float narrow_to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  const auto bits = std::bit_cast<std::uint32_t>(nearest);
  const auto exact = static_cast<double>(nearest);
  if (exact == value || value != value || bits % 2 == 1) return nearest;
  const bool away = value < 0 ? exact < value : exact > value;
  return std::bit_cast<float>(away ? bits - 1 : bits + 1);
}

}  // namespace detail

/// The upper half of an IEEE float: its range, 8 bits of precision. Memory and messages hold it; arithmetic is done in
/// float. Conversions, all explicit, round to nearest, ties to even, once (integers up to 2^53 in magnitude); a NaN
/// becomes the quiet NaN of its sign.
struct bfloat16 {  // NOLINT(readability-identifier-naming): named as float is
  std::uint16_t bits;

  bfloat16() = default;
  explicit constexpr bfloat16(float value) : bits{narrow(value)} {}
  explicit constexpr bfloat16(double value) : bfloat16(detail::narrow_to_odd(value)) {}
  template <std::integral I>
  explicit constexpr bfloat16(I value) : bfloat16(static_cast<double>(value)) {}
  static constexpr bfloat16 from_bits(std::uint16_t bits) { return std::bit_cast<bfloat16>(bits); }

  explicit constexpr operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
  explicit constexpr operator double() const { return static_cast<double>(static_cast<float>(*this)); }

  /// Comparisons by value, with another one or with any real number.
  friend constexpr bool operator==(bfloat16 a, bfloat16 b) { return static_cast<float>(a) == static_cast<float>(b); }
  friend constexpr bool operator==(bfloat16 a, double b) { return static_cast<double>(a) == b; }
  friend constexpr std::partial_ordering operator<=>(bfloat16 a, bfloat16 b) {
    return static_cast<float>(a) <=> static_cast<float>(b);
  }
  friend constexpr std::partial_ordering operator<=>(bfloat16 a, double b) { return static_cast<double>(a) <=> b; }

 private:
  static constexpr std::uint16_t narrow(float value) {
    const auto u = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (u + 0x7fff + (u >> 16) % 2) >> 16;
    const std::uint32_t quiet = (u >> 31) << 15 | 0x7fc0;
    return static_cast<std::uint16_t>((u & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
  }
};

/// IEEE 754 binary16: 11 bits of precision, at most 65504. Otherwise as bfloat16.
struct half {  // NOLINT(readability-identifier-naming): named as float is
  std::uint16_t bits;

  half() = default;
  explicit constexpr half(float value) : bits{narrow(value)} {}
  explicit constexpr half(double value) : half(detail::narrow_to_odd(value)) {}
  template <std::integral I>
  explicit constexpr half(I value) : half(static_cast<double>(value)) {}
  static constexpr half from_bits(std::uint16_t bits) { return std::bit_cast<half>(bits); }

  explicit constexpr operator float() const {
    const std::uint32_t magnitude = static_cast<std::uint32_t>(bits & 0x7fff) << 13;
    const std::uint32_t normal = magnitude + (112U << 23);  // 112 = 127 - 15, the difference of the exponents' biases
    const std::uint32_t infinite = magnitude | 0x7f800000;
    // A subnormal counts units of 2^-24, as the low bits of a float between 2^-14 and 2^-13 do in units of 2^-37 << 13.
    const auto subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(normal + (1U << 23)) - 0x1p-14F);
    const std::uint32_t value = magnitude >= (31U << 23) ? infinite : magnitude >= (1U << 23) ? normal : subnormal;
    return std::bit_cast<float>(value | static_cast<std::uint32_t>(bits >> 15) << 31);
  }
  explicit constexpr operator double() const { return static_cast<double>(static_cast<float>(*this)); }

  /// Comparisons by value, with another one or with any real number.
  friend constexpr bool operator==(half a, half b) { return static_cast<float>(a) == static_cast<float>(b); }
  friend constexpr bool operator==(half a, double b) { return static_cast<double>(a) == b; }
  friend constexpr std::partial_ordering operator<=>(half a, half b) {
    return static_cast<float>(a) <=> static_cast<float>(b);
  }
  friend constexpr std::partial_ordering operator<=>(half a, double b) { return static_cast<double>(a) <=> b; }

 private:
  static constexpr std::uint16_t narrow(float value) {
    const auto u = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t magnitude = u & 0x7fffffff;
    const std::uint32_t normal = (magnitude - (112U << 23) + 0xfff + (magnitude >> 13) % 2) >> 13;
    // In [0.5, 1) the last bit of a float is 2^-24, the unit of subnormal halves: the sum rounds to it.
    const std::uint32_t subnormal =
        std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude < (113U << 23) ? magnitude : 0) + 0.5F) & 0xffff;
    const std::uint32_t special = magnitude > 0x7f800000 ? 0x7e00 : 0x7c00;
    const std::uint32_t rounded = magnitude >= (143U << 23) ? special : magnitude < (113U << 23) ? subnormal : normal;
    return static_cast<std::uint16_t>(rounded | (u >> 31) << 15);
  }
};

/// bfloat16 and half.
template <class T>
inline constexpr bool is_half_type = std::is_same_v<T, bfloat16> || std::is_same_v<T, half>;

/// The types of real numbers that tensors have: float, double and the half types.
template <class T>
inline constexpr bool is_floating = std::is_floating_point_v<T> || is_half_type<T>;

/// What elements of type T are added and multiplied in: float for the half types, T otherwise.
template <class T>
using Accumulator = std::conditional_t<is_half_type<T>, float, T>;

template <class T>
concept HalfType = is_half_type<T>;

/// Arithmetic of two half numbers: computed in float and rounded once.
template <HalfType T>
constexpr T operator+(T a, T b) {
  return T{static_cast<float>(a) + static_cast<float>(b)};
}
template <HalfType T>
constexpr T operator-(T a, T b) {
  return T{static_cast<float>(a) - static_cast<float>(b)};
}
template <HalfType T>
constexpr T operator*(T a, T b) {
  return T{static_cast<float>(a) * static_cast<float>(b)};
}
template <HalfType T>
constexpr T operator/(T a, T b) {
  return T{static_cast<float>(a) / static_cast<float>(b)};
}
template <HalfType T>
constexpr T operator-(T a) {
  return T::from_bits(static_cast<std::uint16_t>(a.bits ^ 0x8000));
}
template <HalfType T>
constexpr T& operator+=(T& a, T b) {
  return a = a + b;
}
template <HalfType T>
constexpr T& operator-=(T& a, T b) {
  return a = a - b;
}
template <HalfType T>
constexpr T& operator*=(T& a, T b) {
  return a = a * b;
}
template <HalfType T>
constexpr T& operator/=(T& a, T b) {
  return a = a / b;
}

}  // namespace tartan

template <>
class std::numeric_limits<tartan::bfloat16> : public std::numeric_limits<float> {
  using T = tartan::bfloat16;

 public:
  static constexpr int digits = 8, digits10 = 2, max_digits10 = 4;
  static constexpr T min() noexcept { return T::from_bits(0x0080); }
  static constexpr T max() noexcept { return T::from_bits(0x7f7f); }
  static constexpr T lowest() noexcept { return T::from_bits(0xff7f); }
  static constexpr T epsilon() noexcept { return T::from_bits(0x3c00); }
  static constexpr T round_error() noexcept { return T::from_bits(0x3f00); }
  static constexpr T infinity() noexcept { return T::from_bits(0x7f80); }
  static constexpr T quiet_NaN() noexcept { return T::from_bits(0x7fc0); }
  static constexpr T signaling_NaN() noexcept { return T::from_bits(0x7fa0); }
  static constexpr T denorm_min() noexcept { return T::from_bits(0x0001); }
};

template <>
class std::numeric_limits<tartan::half> : public std::numeric_limits<float> {
  using T = tartan::half;

 public:
  static constexpr int digits = 11, digits10 = 3, max_digits10 = 5;
  static constexpr int min_exponent = -13, min_exponent10 = -4, max_exponent = 16, max_exponent10 = 4;
  static constexpr T min() noexcept { return T::from_bits(0x0400); }
  static constexpr T max() noexcept { return T::from_bits(0x7bff); }
  static constexpr T lowest() noexcept { return T::from_bits(0xfbff); }
  static constexpr T epsilon() noexcept { return T::from_bits(0x1400); }
  static constexpr T round_error() noexcept { return T::from_bits(0x3800); }
  static constexpr T infinity() noexcept { return T::from_bits(0x7c00); }
  static constexpr T quiet_NaN() noexcept { return T::from_bits(0x7e00); }
  static constexpr T signaling_NaN() noexcept { return T::from_bits(0x7d00); }
  static constexpr T denorm_min() noexcept { return T::from_bits(0x0001); }
};
