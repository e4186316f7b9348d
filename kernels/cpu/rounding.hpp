#pragma once

#include <type_traits>
#include <vector>

#include "kernels/accumulator.hpp"
#include "kernels/cpu/multiversion.hpp"
#include "kernels/view.hpp"

/// Sums in the accumulator of T that end as a row of T's: in place where T is its own accumulator, otherwise in a
/// scratch row, and rounded where they are stored.
namespace tartan::kernels {

/// Where a sum that ends as `row` is formed.
template <class T>
TARTAN_INLINE Accumulator<T>* row_to_sum(T* row, Accumulator<T>* scratch) {
  if constexpr (std::is_same_v<T, Accumulator<T>>) {
    return row;
  } else {
    return scratch;
  }
}

/// Ends a sum that was formed in row_to_sum(row, ...).
template <class T>
TARTAN_INLINE void store_sum(T* __restrict row, const Accumulator<T>* __restrict sum, Index columns) {
  if constexpr (!std::is_same_v<T, Accumulator<T>>) {
    for (Index c = 0; c < columns; ++c) row[c] = static_cast<T>(sum[c]);
  }
}

/// A scratch row, empty where none is needed.
template <class T>
std::vector<Accumulator<T>> scratch_row(Index columns) {
  return std::vector<Accumulator<T>>(std::is_same_v<T, Accumulator<T>> ? 0 : static_cast<std::size_t>(columns));
}

}  // namespace tartan::kernels
