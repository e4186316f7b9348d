#pragma once

#include <algorithm>

#include "kernels/cpu/lanes.hpp"
#include "kernels/grouped_fold.hpp"

namespace tartan::kernels {

/// The leaves of a row (see leaves()), combined as fold_leaves() does; `empty` where there are no columns.
template <class T, class Term, class Combine>
T row_sum(Index columns, Term term, Combine combine, T empty) {
  GroupedFold<T> fold;
  for (Index begin = 0; begin < columns; begin += leaf_columns) {
    T leaf{};
    leaves(
        std::min(leaf_columns, columns - begin), [&](Index c) { return term(begin + c); }, combine, &leaf);
    fold.add(leaf, combine);
  }
  return fold.result(empty, combine);
}

}  // namespace tartan::kernels
