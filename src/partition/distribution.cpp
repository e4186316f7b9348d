#include <tartan/partition/distribution.hpp>

#include <algorithm>
#include <numeric>

#include <tartan/partition/cartesian_topology.hpp>

#include "base/fail.hpp"

namespace tartan {
namespace {

std::vector<int> complete_nesting(std::vector<int> nesting, int axes) {
  std::vector<int> all(static_cast<std::size_t>(axes));
  std::iota(all.begin(), all.end(), 0);
  if (nesting.empty()) return all;
  require(std::ranges::is_permutation(nesting, all), "the nesting [{}] is no permutation of the {} axes of the grid",
          fmt::join(nesting, ", "), axes);
  return nesting;
}

}  // namespace

Distribution::Distribution(Grid grid, Shape shape, Placements placements, DistributionOptions options)
    : grid_(std::move(grid)), shape_(std::move(shape)), placements_(std::move(placements)) {
  require(static_cast<int>(placements_.size()) == grid_.axes(),
          "{} placements {} were given for the {} axes of a grid of shape {}", placements_.size(), placements_,
          grid_.axes(), grid_.shape());
  for (auto& placement : placements_) {
    if (!placement.is_shard()) continue;
    const int dims = shape_.dimensions();
    require(-dims <= placement.dim() && placement.dim() < dims,
            "the placements {} shard dimension {}, which the shape {} does not have", placements_, placement.dim(),
            shape_);
    placement = Shard{placement.dim() < 0 ? placement.dim() + dims : placement.dim()};
  }
  nesting_ = complete_nesting(std::move(options.nesting), grid_.axes());
  blocks_.resize(placements_.size());
  for (const auto& [axis, extents] : options.block_extents) {
    require(0 <= axis && axis < grid_.axes() && placement(axis).is_shard(),
            "block extents were given for axis {}, which shards nothing: {}", axis, placements_);
    const int dim = placement(axis).dim();
    require(axes_of(dim).size() <= 1,
            "block extents were given for axis {}, but another axis shards dimension {} too: {}", axis, dim,
            placements_);
    auto blocks = Decomposition::from_extents(extents);
    require(blocks.parts() == grid_.extent(axis) && blocks.extent() == shape_[dim],
            "the block extents [{}] of axis {} do not cut an extent of {} into {} blocks", fmt::join(extents, ", "),
            axis, shape_[dim], grid_.extent(axis));
    if (!blocks.is_balanced()) blocks_[static_cast<std::size_t>(axis)] = std::move(blocks);
  }
}

Distribution::Distribution(const CartesianTopology& topology, Shape shape, Placements placements,
                           DistributionOptions options)
    : Distribution(topology.grid(), std::move(shape), std::move(placements), std::move(options)) {
  topology_ = std::make_shared<const CartesianTopology>(topology);
}

DistributionOptions Distribution::options() const {
  DistributionOptions options{.nesting = nesting_};
  for (int axis = 0; axis < grid_.axes(); ++axis) {
    if (!blocks(axis)) continue;
    auto& extents = options.block_extents[axis];
    for (Index part = 0; part < blocks(axis)->parts(); ++part) extents.push_back(blocks(axis)->block(part).extent());
  }
  return options;
}

const CartesianTopology& Distribution::topology() const {
  require(has_topology(), "the distribution {} was made from a bare grid and has no ranks", *this);
  return *topology_;
}

std::vector<int> Distribution::axes_of(int dim) const {
  std::vector<int> axes;
  for (const int axis : nesting_) {
    if (placement(axis).is_shard(dim) && grid_.extent(axis) > 1) axes.push_back(axis);
  }
  return axes;
}

bool Distribution::holds(int position) const {
  if (position < 0) return false;
  for (int axis = 0; axis < grid_.axes(); ++axis) {
    if (placement(axis).is_root() && grid_.coordinate(position, axis) != 0) return false;
  }
  return true;
}

Box Distribution::block(int position) const {
  require(0 <= position && position < grid_.size(), "position {} does not exist in {}", position, *this);
  Box box(shape_);
  for (const int axis : nesting_) {
    if (!placement(axis).is_shard() || grid_.extent(axis) == 1) continue;
    auto& interval = box[placement(axis).dim()];
    const int coordinate = grid_.coordinate(position, axis);
    const auto inner = blocks(axis) ? blocks(axis)->block(coordinate)
                                    : Decomposition::balanced(interval.extent(), grid_.extent(axis)).block(coordinate);
    interval = {interval.begin + inner.begin, interval.begin + inner.end};
  }
  return box;
}

Box Distribution::box(int position) const {
  return holds(position) ? block(position)
                         : Box(std::vector<Interval>(static_cast<std::size_t>(std::max(shape_.dimensions(), 1))));
}

Shape Distribution::local_shape(int position) const { return box(position).shape(); }

int Distribution::owner(std::span<const Index> index) const {
  require(std::ssize(index) == shape_.dimensions(), "an index of {} numbers was given for {}", index.size(), *this);
  int position = 0;
  Box box(shape_);
  for (const int axis : nesting_) {
    if (!placement(axis).is_shard() || grid_.extent(axis) == 1) continue;
    auto& interval = box[placement(axis).dim()];
    const auto blocks_here =
        blocks(axis) ? *blocks(axis) : Decomposition::balanced(interval.extent(), grid_.extent(axis));
    const Index part = blocks_here.owner(index[static_cast<std::size_t>(placement(axis).dim())] - interval.begin);
    position = grid_.moved(position, axis, static_cast<int>(part));
    const auto inner = blocks_here.block(part);
    interval = {interval.begin + inner.begin, interval.begin + inner.end};
  }
  return position;
}

bool Distribution::any(Placement::Kind kind) const {
  return std::ranges::any_of(placements_, [kind](const Placement& p) { return p.kind() == kind; });
}

Distribution Distribution::with(Placements placements) const {
  auto kept = options();
  std::erase_if(kept.block_extents, [&](const auto& entry) {
    const auto axis = static_cast<std::size_t>(entry.first);
    if (axis >= placements.size()) return true;
    auto moved = placements[axis];
    if (moved.is_shard() && moved.dim() < 0) moved = Shard{moved.dim() + shape_.dimensions()};
    return moved != placements_[axis];
  });
  return with(std::move(placements), std::move(kept));
}

Distribution Distribution::with(Placements placements, DistributionOptions options) const {
  Distribution result(grid_, shape_, std::move(placements), std::move(options));
  result.topology_ = topology_;
  return result;
}

Distribution Distribution::with(int axis, Placement placement) const {
  require(0 <= axis && axis < grid_.axes(), "axis {} does not exist in {}", axis, *this);
  auto placements = placements_;
  placements[static_cast<std::size_t>(axis)] = placement;
  return with(std::move(placements));
}

Distribution Distribution::with_shape(Shape shape) const {
  Distribution result(grid_, std::move(shape), placements_, {.nesting = nesting_});
  result.topology_ = topology_;
  return result;
}

Distribution Distribution::mapped(Placement (Placement::*map)() const noexcept) const {
  auto result = *this;
  for (auto& placement : result.placements_) placement = (placement.*map)();
  return result;
}

Distribution Distribution::dual() const { return mapped(&Placement::dual); }

Distribution Distribution::gradient() const { return mapped(&Placement::gradient); }

std::string Distribution::to_string() const {
  auto text =
      fmt::format("{}: {} on {}", shape_.to_string(), tartan::to_string(placements_), fmt::join(grid_.shape(), " x "));
  if (has_topology()) {
    std::vector<Device> devices;  // each once
    for (const Device& device : topology_->devices()) {
      if (!device.is_cpu() && std::ranges::find(devices, device) == devices.end()) devices.push_back(device);
    }
    if (!devices.empty()) text += fmt::format(" ({})", fmt::join(devices, ", "));
  }
  bool nested = false;  // a dimension is cut along several axes
  for (int dim = 0; dim < shape_.dimensions(); ++dim) nested = nested || axes_of(dim).size() > 1;
  if (nested && !std::ranges::is_sorted(nesting_)) text += fmt::format(", nesting [{}]", fmt::join(nesting_, ", "));
  for (const auto& [axis, extents] : options().block_extents) {
    text += fmt::format(", axis {} in blocks of [{}]", axis, fmt::join(extents, ", "));
  }
  return text;
}

bool operator==(const Distribution& a, const Distribution& b) {
  if (a.shape_ != b.shape_ || a.grid_ != b.grid_ || a.placements_ != b.placements_ || a.blocks_ != b.blocks_ ||
      a.has_topology() != b.has_topology()) {
    return false;
  }
  if (a.topology_ != b.topology_ && *a.topology_ != *b.topology_) return false;
  if (a.nesting_ == b.nesting_) return true;
  for (int dim = 0; dim < a.shape_.dimensions(); ++dim) {
    if (a.axes_of(dim) != b.axes_of(dim)) return false;
  }
  return true;
}

}  // namespace tartan
