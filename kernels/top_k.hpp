#pragma once

#include "kernels/view.hpp"

/// The k greatest of a row and where they stand, descending; equal ones by ascending position, NaN before all numbers.
/// A row, or a shard of it, gives k entries (value, class) in doubles, which hold both exactly; (-inf, none) where it
/// has less.
namespace tartan::kernels {

struct Ranked {
  double value;
  double index;  ///< of the class

  constexpr bool is_none() const { return index < 0; }
  /// An entry that is one comes before one that is none.
  constexpr bool comes_before(const Ranked& other) const {
    if (is_none() || other.is_none()) return !is_none();
    const bool nan = value != value;
    const bool other_nan = other.value != other.value;
    if (nan != other_nan) return nan;
    if (!nan && value != other.value) return value > other.value;
    return index < other.index;
  }
};

/// best[r · k], ..., [r · k + k - 1] of row r, whose first column is the class `first_class`.
template <class T>
void rank_classes(Cpu, Matrix<const T> x, Index first_class, Index k, Ranked* best);
template <class T>
void rank_classes(Cuda, Matrix<const T> x, Index first_class, Index k, Ranked* best);

/// The k first of the entries best[(p · rows + r) · k + i], p < parts, of each row, as values and classes.
template <class T>
void merge_ranked(Cpu, const Ranked* best, Index parts, Index rows, Index k, T* values, Index* classes);
template <class T>
void merge_ranked(Cuda, const Ranked* best, Index parts, Index rows, Index k, T* values, Index* classes);

}  // namespace tartan::kernels
