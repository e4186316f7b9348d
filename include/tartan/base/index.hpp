#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <utility>

#include <tartan/base/error.hpp>

namespace tartan {

/// Offsets, counts, extents and ids: always 64-bit and signed.
using Index = std::int64_t;

/// a · b; throws Error where the product does not fit 64 bits.
inline Index checked_multiply(Index a, Index b) {
  Index result = 0;
  if (__builtin_mul_overflow(a, b, &result)) {
    throw Error("the product " + std::to_string(a) + " x " + std::to_string(b) + " does not fit 64 bits");
  }
  return result;
}

/// a + b; throws Error where the sum does not fit 64 bits.
inline Index checked_add(Index a, Index b) {
  Index result = 0;
  if (__builtin_add_overflow(a, b, &result)) {
    throw Error("the sum " + std::to_string(a) + " + " + std::to_string(b) + " does not fit 64 bits");
  }
  return result;
}

/// `value` as a narrower integer type; throws Error where it does not fit.
template <std::integral To>
To checked_narrow(Index value) {
  if (!std::in_range<To>(value)) throw Error("the value " + std::to_string(value) + " does not fit its type");
  return static_cast<To>(value);
}

}  // namespace tartan
