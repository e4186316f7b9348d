#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <tartan/base/shape.hpp>

namespace tartan {

/// The global indices begin, ..., end - 1 of one dimension; empty where end <= begin.
struct Interval {
  Index begin = 0;
  Index end = 0;

  Index extent() const noexcept { return std::max<Index>(end - begin, 0); }
  bool empty() const noexcept { return end <= begin; }
  bool contains(Index i) const noexcept { return begin <= i && i < end; }
  friend bool operator==(const Interval&, const Interval&) = default;
};

/// What both intervals hold; (0, 0) where they share nothing.
inline Interval intersect(Interval a, Interval b) {
  const Interval both{std::max(a.begin, b.begin), std::min(a.end, b.end)};
  return both.empty() ? Interval{} : both;
}

/// A rectangle of global indices: one interval per dimension. A box without dimensions holds one element.
class Box {
 public:
  Box() = default;
  explicit Box(std::vector<Interval> intervals) : intervals_(std::move(intervals)) {}
  /// The whole of `shape`.
  explicit Box(const Shape& shape);

  int dimensions() const noexcept { return static_cast<int>(intervals_.size()); }
  const Interval& operator[](int dim) const { return intervals_[static_cast<std::size_t>(dim)]; }
  Interval& operator[](int dim) { return intervals_[static_cast<std::size_t>(dim)]; }

  bool empty() const noexcept;
  Index elements() const noexcept;
  /// The extents of the box.
  Shape shape() const;
  std::string to_string() const;  ///< "[0, 8) x [4, 6)"

  friend bool operator==(const Box&, const Box&) = default;

 private:
  std::vector<Interval> intervals_;
};

/// What both boxes (of the same number of dimensions) hold.
Box intersect(const Box& a, const Box& b);

}  // namespace tartan
