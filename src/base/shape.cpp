#include <tartan/base/shape.hpp>

#include <algorithm>

#include "base/fail.hpp"

namespace tartan {

Shape::Shape(std::vector<Index> extents) : extents_(std::move(extents)) {
  for (const Index extent : extents_) require(extent >= 0, "a shape has the negative extent {}", extent);
  if (std::ranges::count(extents_, 0) > 0) {
    elements_ = 0;
    return;
  }
  for (const Index extent : extents_) elements_ = checked_multiply(elements_, extent);
}

Index Shape::elements(int first, int last) const {
  Index product = 1;
  for (int dim = first; dim < last; ++dim) product = checked_multiply(product, (*this)[dim]);
  return product;
}

int Shape::dimension(int dim, const char* what) const {
  require(-dimensions() <= dim && dim < dimensions(), "{} {} does not exist in the shape {}", what, dim, to_string());
  return dim < 0 ? dim + dimensions() : dim;
}

Index Shape::flat(std::span<const Index> index) const {
  Index flat = 0;
  for (std::size_t dim = 0; dim < extents_.size(); ++dim) flat = flat * extents_[dim] + index[dim];
  return flat;
}

std::vector<Index> Shape::index(Index flat) const {
  std::vector<Index> index(extents_.size());
  for (std::size_t dim = extents_.size(); dim-- > 0;) {
    index[dim] = flat % extents_[dim];
    flat /= extents_[dim];
  }
  return index;
}

Shape Shape::appended(Index extent) const {
  auto extents = extents_;
  extents.push_back(extent);
  return Shape(std::move(extents));
}

Shape Shape::without(int dim) const {
  auto extents = extents_;
  extents.erase(extents.begin() + dimension(dim));
  return Shape(std::move(extents));
}

std::string Shape::to_string() const { return fmt::format("({})", fmt::join(extents_, ", ")); }

}  // namespace tartan
