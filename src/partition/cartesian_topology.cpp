#include <tartan/partition/cartesian_topology.hpp>

#include <algorithm>
#include <numeric>

#include <tartan/comm/agreement.hpp>
#include <tartan/device/cuda.hpp>

#include "base/fail.hpp"
#include "partition/plan_cache.hpp"

namespace tartan {

struct CartesianTopology::State {
  Partition partition;
  Grid grid;
  Device device;
  std::vector<Communicator> axes;
  mutable PlanCache plans = {};
};

namespace {

std::string text(const Shape& shape) { return fmt::format("{}", fmt::join(shape, " x ")); }

/// The ranks that agree with `position` on every axis but those given: one color per group, ordered by the grid.
Communicator split(const Partition& partition, const Grid& grid, std::span<const int> axes, std::string name) {
  if (partition.root().is_null()) return {};
  if (!partition.active()) return partition.root().split(-1, 0, std::move(name));
  int color = partition.rank();
  for (const int axis : axes) color = grid.moved(color, axis, 0);
  return partition.root().split(color, partition.rank(), std::move(name));
}

/// This rank's device, which is there. Collective over `root` in a build with CUDA.
Device chosen(Device device, const Communicator& root) {
  if (root.is_null()) return device;
  if (cuda::built_in()) same_on_all(root, "the kind of device under a grid", device.is_cpu() ? "cpu" : "cuda");
  if (device.is_cpu()) return device;
  const int beside = cuda::built_in() && device.ordinal == Device::any ? root.rank_on_node() : 0;
  return collectively(root, [&] {
    if (device.ordinal == Device::any) device.ordinal = beside % std::max(1, cuda::device_count());
    require(device.ordinal < cuda::device_count() && device.ordinal >= 0,
            "{} is not there: this process sees {} CUDA devices{}", device, cuda::device_count(),
            cuda::built_in() ? "" : ", since this build of Tartan has CPU support only (TARTAN_CUDA=ON)");
    return device;
  });
}

}  // namespace

CartesianTopology::CartesianTopology(const Partition& partition, const Shape& shape, Device device) {
  const Grid grid(shape);
  require(grid.size() == partition.size(), "a grid of {} needs {} ranks, but the partition has {}", text(shape),
          grid.size(), partition.size());
  if (!partition.root().is_null())
    check_collective(partition.root(), [&] { return fmt::format("a grid of {}", text(shape)); });
  device = chosen(device, partition.root());
  std::vector<Communicator> axes;
  for (int axis = 0; axis < grid.axes(); ++axis) {
    axes.push_back(split(partition, grid, std::span(&axis, 1), fmt::format("axis {} of {}", axis, text(shape))));
  }
  state_ = std::shared_ptr<const State>(new State{partition, grid, device, std::move(axes)});
}

const Grid& CartesianTopology::grid() const {
  require(state_ != nullptr, "an empty topology is used");
  return state_->grid;
}

const Partition& CartesianTopology::partition() const {
  require(state_ != nullptr, "an empty topology is used");
  return state_->partition;
}

Device CartesianTopology::device() const {
  require(state_ != nullptr, "an empty topology is used");
  return state_->device;
}

PlanCache& CartesianTopology::plans() const {
  require(state_ != nullptr, "an empty topology is used");
  return state_->plans;
}

std::vector<int> CartesianTopology::coordinates() const {
  require(active(), "an inactive rank has no coordinates");
  return grid().coordinates(rank());
}

const Communicator& CartesianTopology::axis(int axis) const {
  require(0 <= axis && axis < grid().axes(), "axis {} does not exist in a grid of {}", axis, text(grid().shape()));
  return state_->axes[static_cast<std::size_t>(axis)];
}

CartesianTopology CartesianTopology::along(std::span<const int> axes) const {
  std::vector<Index> extents;
  std::vector<int> seen;
  for (const int axis : axes) {
    require(0 <= axis && axis < grid().axes() && std::ranges::find(seen, axis) == seen.end(),
            "the axes [{}] are not distinct axes of a grid of {}", fmt::join(axes, ", "), text(grid().shape()));
    seen.push_back(axis);
    extents.push_back(grid().extent(axis));
  }
  require(std::ranges::is_sorted(seen), "the axes [{}] are not in increasing order", fmt::join(axes, ", "));
  const Shape shape(std::move(extents));
  const auto group =
      split(partition(), grid(), axes, fmt::format("axes [{}] of {}", fmt::join(axes, ", "), text(grid().shape())));
  std::vector<int> ranks(static_cast<std::size_t>(shape.elements()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return {Partition(group, std::move(ranks), group), shape, device()};
}

std::optional<int> CartesianTopology::neighbour(int axis, int steps, bool periodic) const {
  require(active(), "an inactive rank has no neighbours");
  require(0 <= axis && axis < grid().axes(), "axis {} does not exist in a grid of {}", axis, text(grid().shape()));
  const int extent = grid().extent(axis);
  int coordinate = grid().coordinate(rank(), axis) + steps;
  if (periodic) coordinate = (coordinate % extent + extent) % extent;
  if (coordinate < 0 || coordinate >= extent) return std::nullopt;
  return grid().moved(rank(), axis, coordinate);
}

bool operator==(const CartesianTopology& a, const CartesianTopology& b) {
  if (a.state_ == b.state_) return true;
  if (!a.state_ || !b.state_) return false;
  return a.state_->grid == b.state_->grid && a.state_->device.kind == b.state_->device.kind &&
         a.state_->partition == b.state_->partition;
}

}  // namespace tartan
