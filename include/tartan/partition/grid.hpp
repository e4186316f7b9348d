#pragma once

#include <span>
#include <vector>

#include <tartan/base/shape.hpp>

namespace tartan {

/// A Cartesian arrangement of positions 0, ..., size() - 1 in row-major order (the last axis varies fastest). Pure
/// arithmetic: a CartesianTopology is a grid whose positions are ranks.
class Grid {
 public:
  /// A grid without axes: one position.
  Grid() = default;
  /// Throws Error unless every extent is at least 1.
  explicit Grid(Shape shape);

  const Shape& shape() const noexcept { return shape_; }
  int axes() const noexcept { return shape_.dimensions(); }
  int extent(int axis) const { return static_cast<int>(shape_[axis]); }
  int size() const noexcept { return static_cast<int>(shape_.elements()); }

  /// The coordinates of `position`.
  std::vector<int> coordinates(int position) const;
  /// The coordinate of `position` on `axis`.
  int coordinate(int position, int axis) const;
  /// The inverse of coordinates().
  int position(std::span<const int> coordinates) const;
  /// `position` with its coordinate on `axis` replaced.
  int moved(int position, int axis, int coordinate) const;

  friend bool operator==(const Grid&, const Grid&) = default;

 private:
  int stride(int axis) const { return static_cast<int>(shape_.elements(axis + 1, axes())); }

  Shape shape_;
};

}  // namespace tartan
