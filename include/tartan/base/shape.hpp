#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include <tartan/base/index.hpp>

namespace tartan {

/// The extents of a tensor or of a grid, outermost first. A shape without dimensions has one element.
class Shape {
 public:
  Shape() = default;
  /// Throws Error on a negative extent or where the number of elements does not fit 64 bits.
  Shape(std::initializer_list<Index> extents) : Shape(std::vector<Index>(extents)) {}
  explicit Shape(std::vector<Index> extents);

  int dimensions() const noexcept { return static_cast<int>(extents_.size()); }
  Index operator[](int dim) const { return extents_[static_cast<std::size_t>(dim)]; }
  std::span<const Index> extents() const noexcept { return extents_; }
  auto begin() const noexcept { return extents_.begin(); }
  auto end() const noexcept { return extents_.end(); }

  /// The product of the extents.
  Index elements() const noexcept { return elements_; }
  /// The product of the extents of dimensions `first` to `last` - 1; throws Error where it does not fit 64 bits.
  Index elements(int first, int last) const;

  /// `dim`, counted from the end where negative; throws Error, naming `what`, unless -dimensions <= dim < dimensions.
  int dimension(int dim, const char* what = "dimension") const;

  /// The row-major position of `index` (one entry per dimension, each within its extent).
  Index flat(std::span<const Index> index) const;
  /// The inverse of flat().
  std::vector<Index> index(Index flat) const;

  /// This shape with one more dimension of extent `extent` at the end.
  Shape appended(Index extent) const;
  /// This shape without dimension `dim`.
  Shape without(int dim) const;

  std::string to_string() const;  ///< "(16, 32)"

  friend bool operator==(const Shape& a, const Shape& b) { return a.extents_ == b.extents_; }

 private:
  std::vector<Index> extents_;
  Index elements_ = 1;
};

}  // namespace tartan
