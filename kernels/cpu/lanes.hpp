#pragma once

#include <tartan/base/index.hpp>

#include "kernels/accumulator.hpp"
#include "kernels/cpu/multiversion.hpp"

namespace tartan::kernels {

/// lanes[l] becomes combine(lanes[l], lanes[l + width / 2]) for the lower half, and so on; the result is lanes[0].
template <Index width, class T, class Combine>
TARTAN_INLINE T halve(T* lanes, Combine combine) {
  for (Index half = width / 2; half > 0; half /= 2) {
    for (Index l = 0; l < half; ++l) lanes[l] = combine(lanes[l], lanes[l + half]);
  }
  return lanes[0];
}

/// The dot product of two rows: column c goes to lane c mod 16, each lane is summed in order, then halved.
template <class T>
TARTAN_INLINE Accumulator<T> dot(const T* x, const T* y, Index columns) {
  using A = Accumulator<T>;
  constexpr Index lanes = 16;
  A sums[lanes] = {};
  const Index whole = columns - columns % lanes;
  for (Index c = 0; c < whole; c += lanes) {
    for (Index l = 0; l < lanes; ++l) sums[l] += static_cast<A>(x[c + l]) * static_cast<A>(y[c + l]);
  }
  if (const Index rest = columns - whole; rest > 0) {
    // Masked vector code, if the loop is not unrolled first. No lane is -0.0, so adding 0.0 leaves its bits.
#pragma GCC unroll 1
    for (Index l = 0; l < lanes; ++l) {
      A product = 0;
      if (l < rest) product = static_cast<A>(x[whole + l]) * static_cast<A>(y[whole + l]);
      sums[l] += product;
    }
  }
  return halve<lanes>(sums, [](A a, A b) { return a + b; });
}

/// Columns to a leaf, the piece of a row whose sum never depends on where the row is split at a multiple of it.
inline constexpr Index leaf_columns = 32;

constexpr Index leaves_of(Index columns) { return (columns + leaf_columns - 1) / leaf_columns; }

/// The leaves of a row: out[k] is term(c) for c = 32k, ..., 32k + 31, -0.0 from `columns` on, halved by `combine`.
template <class T, class Term, class Combine>
TARTAN_INLINE void leaves(Index columns, Term term, Combine combine, T* out) {
  for (Index begin = 0; begin < columns; begin += leaf_columns) {
    T lanes[leaf_columns];
    const Index present = columns - begin;
    if (present >= leaf_columns) {
      for (Index l = 0; l < leaf_columns; ++l) lanes[l] = term(begin + l);
    } else {
#pragma GCC unroll 1
      for (Index l = 0; l < leaf_columns; ++l) {
        T value = static_cast<T>(-0.0);
        if (l < present) value = term(begin + l);
        lanes[l] = value;
      }
    }
    *out++ = halve<leaf_columns>(lanes, combine);
  }
}

}  // namespace tartan::kernels
