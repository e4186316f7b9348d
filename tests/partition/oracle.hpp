#pragma once

#include <functional>
#include <string>
#include <vector>

#include <tartan/partition/distribution.hpp>

namespace tartan::testing {

/// Block `part` of an extent that is dealt out evenly, the first blocks one longer: told by counting.
inline Interval counted_block(Index extent, int parts, int part) {
  Interval block;
  for (int p = 0; p <= part; ++p) block = {block.end, block.end + extent / parts + (p < extent % parts ? 1 : 0)};
  return block;
}

/// What the Shard axes cut out for `position`, worked out from the placements alone.
inline std::vector<Interval> expected_block(const Distribution& d, int position) {
  std::vector<Interval> block;
  for (const Index extent : d.shape()) block.push_back({0, extent});
  const auto given = d.options().block_extents;
  for (const int axis : d.nesting()) {
    if (!d.placement(axis).is_shard()) continue;
    auto& interval = block[static_cast<std::size_t>(d.placement(axis).dim())];
    const int coordinate = d.grid().coordinates(position)[static_cast<std::size_t>(axis)];
    Interval inner = counted_block(interval.extent(), d.grid().extent(axis), coordinate);
    if (const auto found = given.find(axis); found != given.end()) {
      inner = {};
      for (int p = 0; p <= coordinate; ++p) inner = {inner.end, inner.end + found->second[static_cast<std::size_t>(p)]};
    }
    interval = {interval.begin + inner.begin, interval.begin + inner.end};
  }
  return block;
}

/// True where `position` has coordinate 0 on every axis placed as `kind`.
inline bool first_on(const Distribution& d, int position, Placement::Kind kind) {
  const auto coordinates = d.grid().coordinates(position);
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    if (d.placement(axis).kind() == kind && coordinates[static_cast<std::size_t>(axis)] != 0) return false;
  }
  return true;
}

/// The number of `position` among those that differ on the axes placed as `kind`, and how many of them there are.
struct Member {
  int number = 0;
  int of = 1;
};
inline Member member(const Distribution& d, int position, Placement::Kind kind) {
  Member result;
  const auto coordinates = d.grid().coordinates(position);
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    if (d.placement(axis).kind() != kind) continue;
    result.number = result.number * d.grid().extent(axis) + coordinates[static_cast<std::size_t>(axis)];
    result.of *= d.grid().extent(axis);
  }
  return result;
}

/// The row-major positions in the whole tensor of what `position` holds, in the order of its local elements.
inline std::vector<Index> held_elements(const Distribution& d, int position) {
  std::vector<Index> flats;
  if (position < 0 || !first_on(d, position, Placement::Kind::root)) return flats;
  const auto block = expected_block(d, position);
  const std::function<void(std::size_t, Index)> walk = [&](std::size_t dim, Index flat) {
    if (dim == block.size()) return flats.push_back(flat);
    for (Index i = block[dim].begin; i < block[dim].end; ++i)
      walk(dim + 1, flat * d.shape()[static_cast<int>(dim)] + i);
  };
  walk(0, 0);
  return flats;
}

/// Every grid of `axes` axes that has `size` positions.
inline std::vector<Shape> factorisations(int size, int axes) {
  if (axes == 0) return size == 1 ? std::vector<Shape>{Shape{}} : std::vector<Shape>{};
  std::vector<Shape> shapes;
  for (int last = 1; last <= size; ++last) {
    if (size % last != 0) continue;
    for (const auto& outer : factorisations(size / last, axes - 1)) shapes.push_back(outer.appended(last));
  }
  return shapes;
}

/// Every list of placements of `axes` axes for a tensor of `dims` dimensions.
inline std::vector<Placements> all_placements(int axes, int dims) {
  std::vector<Placement> choices{Replicate{}, Partial{}, Root{}};
  for (int dim = 0; dim < dims; ++dim) choices.emplace_back(Shard{dim});
  std::vector<Placements> lists{{}};
  for (int axis = 0; axis < axes; ++axis) {
    std::vector<Placements> longer;
    for (const auto& list : lists) {
      for (const auto& choice : choices) {
        longer.push_back(list);
        longer.back().push_back(choice);
      }
    }
    lists = std::move(longer);
  }
  return lists;
}

}  // namespace tartan::testing
