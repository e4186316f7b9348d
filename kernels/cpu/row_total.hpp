#pragma once

#include "kernels/cpu/multiversion.hpp"
#include "kernels/view.hpp"

namespace tartan::kernels {

/// term(0) + ... + term(n - 1) in eight interleaved sums, which are added in order.
template <class Term>
TARTAN_INLINE double row_total(Index n, Term term) {
  double sums[8] = {};
  Index i = 0;
  for (; i + 8 <= n; i += 8) {
    for (Index k = 0; k < 8; ++k) sums[k] += term(i + k);
  }
  for (Index k = 0; i + k < n; ++k) sums[k] += term(i + k);
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

}  // namespace tartan::kernels
