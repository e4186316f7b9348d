#pragma once

#include <vector>

#include <tartan/base/box.hpp>

namespace tartan {

/// A dimension cut into consecutive blocks, one per part; blocks may be empty.
class Decomposition {
 public:
  /// The balanced split of the indices 0, ..., extent - 1: the first `extent mod parts` blocks hold one more.
  /// Block i starts at (extent div parts)·i + min(i, extent mod parts).
  static Decomposition balanced(Index extent, Index parts);
  /// Block i holds `extents[i]` indices; throws Error on a negative extent.
  static Decomposition from_extents(const std::vector<Index>& extents);

  Index extent() const noexcept { return extent_; }
  Index parts() const noexcept { return parts_; }
  Interval block(Index part) const;
  /// The part whose block holds `i`; throws Error unless 0 <= i < extent().
  Index owner(Index i) const;
  bool is_balanced() const;

  /// Two decompositions are equal where every block is.
  friend bool operator==(const Decomposition& a, const Decomposition& b);

 private:
  Index extent_ = 0;
  Index parts_ = 1;
  std::vector<Index> offsets_;  ///< parts_ + 1 entries, or none: balanced
};

}  // namespace tartan
