#pragma once

#include <type_traits>

#include <tartan/base/index.hpp>

#include "kernels/cpu/multiversion.hpp"

namespace tartan::kernels {

/// Calls `body` with the width, as a constant where it is a common one, so that short rows are straight-line code.
template <class Body>
TARTAN_INLINE void with_width(Index width, Body body) {
  switch (width) {
    case 0:
      return body(std::integral_constant<Index, 0>{});
    case 4:
      return body(std::integral_constant<Index, 4>{});
    case 8:
      return body(std::integral_constant<Index, 8>{});
    case 16:
      return body(std::integral_constant<Index, 16>{});
    case 32:
      return body(std::integral_constant<Index, 32>{});
    case 64:
      return body(std::integral_constant<Index, 64>{});
    case 128:
      return body(std::integral_constant<Index, 128>{});
    default:
      return body(width);
  }
}

}  // namespace tartan::kernels
