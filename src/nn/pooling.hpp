#pragma once

#include "nn/lookup.hpp"

/// Lookups that reduce: one row for each bag of ids.
namespace tartan::lookup {

using functional::BagMode;

/// How bags become rows.
template <class T>
struct Pooling {
  BagMode mode;
  Variable<T> weights;  ///< of the ids, or none

  /// Throws Error where there is no such pooling of ids of this shape.
  void require_possible(const Shape& ids, bool scale_grad_by_freq) const;
};

/// functional::embedding_bag and embedding_bag_by_rows, of a pooling that is possible. Where the mode is max, every
/// rank must have all rows of its bags. Collective where rows or weights of ids move.
template <class T, class I>
Variable<T> pooled(const Lookup<T, I>& lookup, const Bags<I>& bags, const Pooling<T>& pooling);

}  // namespace tartan::lookup
