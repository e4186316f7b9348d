#pragma once

#include <algorithm>
#include <cstddef>

#include <tartan/base/index.hpp>

#include "kernels/cpu/multiversion.hpp"

namespace tartan::kernels {

/// How many rows before its use a row is asked for.
inline constexpr Index ahead = 32;

/// Asks for a row, or the beginning of a long one, whose rest the hardware sees coming. The second-level cache has room
/// for more lines under way than the first.
TARTAN_INLINE void prefetch(const void* row, std::size_t bytes) {
  for (std::size_t b = 0; b < std::min<std::size_t>(bytes, 2048); b += 64) {
    __builtin_prefetch(static_cast<const char*>(row) + b, 0, 2);
  }
}

}  // namespace tartan::kernels
