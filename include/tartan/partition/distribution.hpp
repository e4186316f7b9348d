#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tartan/base/decomposition.hpp>
#include <tartan/partition/grid.hpp>
#include <tartan/partition/placement.hpp>

namespace tartan {

class CartesianTopology;

struct DistributionOptions {
  /// A permutation of the axes: where several axes shard one dimension they nest, outermost first. None: axis order.
  std::vector<int> nesting = {};
  /// Per axis, the extents of its blocks, one per coordinate, instead of the balanced split. The axis must be the only
  /// one that shards its dimension.
  std::map<int, std::vector<Index>> block_extents = {};
};

/// How a logical global tensor is laid over a grid: its shape and one placement per axis. A value, and pure arithmetic:
/// every rank can ask it about any rank, and nothing here communicates.
///
/// A position holds data iff its coordinate is 0 on every Root axis. It holds the box cut by the Shard axes, one term
/// per Partial coordinate, the same copy along Replicate axes. Example: shape (5, 4) on a 2 x 2 grid,
///
///     placements               (0,0)          (0,1)          (1,0)          (1,1)
///     [Shard(0), Shard(1)]     [0,3)x[0,2)    [0,3)x[2,4)    [3,5)x[0,2)    [3,5)x[2,4)
///     [Shard(0), Shard(0)]     [0,2)x[0,4)    [2,3)x[0,4)    [3,4)x[0,4)    [4,5)x[0,4)
///     [Root, Shard(1)]         [0,5)x[0,2)    [0,5)x[2,4)    nothing        nothing
class Distribution {
 public:
  /// A 0-d tensor on a grid of one position.
  Distribution() = default;
  /// Throws Error unless there is one placement per axis, every sharded dimension exists, the nesting is a permutation
  /// and given block extents fit.
  Distribution(Grid grid, Shape shape, Placements placements, DistributionOptions options = {});
  /// The same on the ranks of `topology`: what DistributedTensor needs.
  Distribution(const CartesianTopology& topology, Shape shape, Placements placements, DistributionOptions options = {});

  const Grid& grid() const noexcept { return grid_; }
  const Shape& shape() const noexcept { return shape_; }
  const Placements& placements() const noexcept { return placements_; }
  const Placement& placement(int axis) const { return placements_[static_cast<std::size_t>(axis)]; }
  const std::vector<int>& nesting() const noexcept { return nesting_; }
  /// The decomposition of an axis with given block extents.
  const std::optional<Decomposition>& blocks(int axis) const { return blocks_[static_cast<std::size_t>(axis)]; }
  /// The options that this distribution was made with.
  DistributionOptions options() const;

  bool has_topology() const noexcept { return topology_ != nullptr; }
  /// Throws Error where the distribution was made from a bare grid.
  const CartesianTopology& topology() const;

  /// The axes of extent above 1 that shard `dim`, outermost first.
  std::vector<int> axes_of(int dim) const;
  /// True where coordinate 0 on every Root axis. Position -1, an inactive rank, holds nothing.
  bool holds(int position) const;
  /// What the Shard axes cut out for `position`, whether or not it holds data.
  Box block(int position) const;
  /// What `position` holds: block(position), or a box of empty intervals (one of them for a 0-d tensor).
  Box box(int position) const;
  /// The shape of box(position): all extents 0 (shape (0) for a 0-d tensor) where it holds nothing.
  Shape local_shape(int position) const;
  /// The lowest position that holds a copy, or the first term, of the element `index`.
  int owner(std::span<const Index> index) const;

  /// True where any axis is placed as asked.
  bool any(Placement::Kind kind) const;

  /// The same tensor with other placements (and the nesting of this one, or with `options`).
  Distribution with(Placements placements) const;
  Distribution with(Placements placements, DistributionOptions options) const;
  /// The same with another placement on one axis.
  Distribution with(int axis, Placement placement) const;
  /// Another shape under the same placements, without given block extents.
  Distribution with_shape(Shape shape) const;
  /// Every placement replaced by its dual.
  Distribution dual() const;
  /// Every placement replaced by Placement::gradient(): where the gradient of a tensor placed so is taken.
  Distribution gradient() const;

  /// "(16, 32): [Shard(0), Replicate, Shard(1)] on 2 x 1 x 4", and where it is not the processor, the devices.
  std::string to_string() const;

  /// Equal shape, grid, topology (the same ranks in the same order, or none), placements and blocks. The order of
  /// nesting counts only between axes of extent above 1 that shard the same dimension.
  friend bool operator==(const Distribution& a, const Distribution& b);

 private:
  Distribution mapped(Placement (Placement::*map)() const noexcept) const;

  Grid grid_;
  Shape shape_;
  Placements placements_;
  std::vector<int> nesting_;
  std::vector<std::optional<Decomposition>> blocks_;
  std::shared_ptr<const CartesianTopology> topology_;
};

}  // namespace tartan
