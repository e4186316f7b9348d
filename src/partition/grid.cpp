#include <tartan/partition/grid.hpp>

#include <limits>

#include "base/fail.hpp"

namespace tartan {

Grid::Grid(Shape shape) : shape_(std::move(shape)) {
  for (const Index extent : shape_) require(extent >= 1, "a grid of shape {} has an empty axis", shape_);
  require(shape_.elements() <= std::numeric_limits<int>::max(), "a grid of shape {} has more ranks than MPI can number",
          shape_);
}

std::vector<int> Grid::coordinates(int position) const {
  std::vector<int> result(static_cast<std::size_t>(axes()));
  for (int axis = 0; axis < axes(); ++axis) result[static_cast<std::size_t>(axis)] = coordinate(position, axis);
  return result;
}

int Grid::coordinate(int position, int axis) const { return position / stride(axis) % extent(axis); }

int Grid::position(std::span<const int> coordinates) const {
  int result = 0;
  for (int axis = 0; axis < axes(); ++axis)
    result = result * extent(axis) + coordinates[static_cast<std::size_t>(axis)];
  return result;
}

int Grid::moved(int position, int axis, int coordinate) const {
  return position + (coordinate - this->coordinate(position, axis)) * stride(axis);
}

}  // namespace tartan
