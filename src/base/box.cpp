#include <tartan/base/box.hpp>

#include "base/fail.hpp"

namespace tartan {

Box::Box(const Shape& shape) {
  for (const Index extent : shape) intervals_.push_back({0, extent});
}

bool Box::empty() const noexcept { return std::ranges::any_of(intervals_, &Interval::empty); }

Index Box::elements() const noexcept {
  if (empty()) return 0;  // the product of the others may not fit
  Index product = 1;
  for (const auto& interval : intervals_) product *= interval.extent();
  return product;
}

Shape Box::shape() const {
  std::vector<Index> extents;
  for (const auto& interval : intervals_) extents.push_back(interval.extent());
  return Shape(std::move(extents));
}

std::string Box::to_string() const {
  std::vector<std::string> texts;
  for (const auto& interval : intervals_) texts.push_back(fmt::format("[{}, {})", interval.begin, interval.end));
  return texts.empty() ? "[]" : fmt::format("{}", fmt::join(texts, " x "));
}

Box intersect(const Box& a, const Box& b) {
  std::vector<Interval> both;
  for (int dim = 0; dim < a.dimensions(); ++dim) both.push_back(intersect(a[dim], b[dim]));
  return Box(std::move(both));
}

}  // namespace tartan
