#include <tartan/partition/cartesian_topology.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <numeric>
#include <optional>

#include <tartan/comm/agreement.hpp>
#include <tartan/device/cuda.hpp>

#include "base/fail.hpp"
#include "comm/transport.hpp"
#include "partition/plan_cache.hpp"

namespace tartan {

struct CartesianTopology::State {
  Partition partition;
  Grid grid;
  std::vector<Device> devices;
  std::vector<Communicator> axes;
  mutable PlanCache plans = {};
};

namespace {

std::string text(const Shape& shape) { return fmt::format("{}", fmt::join(shape, " x ")); }

/// The first of the positions that agree with `position` on every axis but those given: it names their group.
int first_of(const Grid& grid, std::span<const int> axes, int position) {
  for (const int axis : axes) position = grid.moved(position, axis, 0);
  return position;
}

/// The ranks of this one's group, ordered by the grid.
Communicator split(const Partition& partition, const Grid& grid, std::span<const int> axes, std::string name) {
  if (partition.root().is_null()) return {};
  if (!partition.active()) return partition.root().split(-1, 0, std::move(name));
  return partition.root().split(first_of(grid, axes, partition.rank()), partition.rank(), std::move(name));
}

/// Collective: `N` numbers of each rank.
template <std::size_t N>
std::vector<std::array<Index, N>> said(const Communicator& root, const std::array<Index, N>& mine) {
  if (root.size() == 1) return {mine};
  std::vector<std::array<Index, N>> all(static_cast<std::size_t>(root.size()));
  const std::vector<Index> counts(all.size(), static_cast<Index>(N));
  root.all_gather(std::span<const Index>(mine), std::span(all.front().data(), N * all.size()), counts);
  return all;
}

/// The devices of all ranks of `root`, which are there. Collective over it in a build with CUDA.
std::vector<Device> chosen(Device mine, const Communicator& root) {
  if (root.is_null()) return {};
  if (!cuda::built_in()) return std::vector<Device>(static_cast<std::size_t>(root.size()));
  const auto choices =
      said<4>(root, {mine.is_cpu() ? 0 : 1, mine.ordinal, cuda::device_count(), static_cast<Index>(transport())});
  const bool cpu = choices[0][0] == 0;
  bool any = false;
  for (std::size_t rank = 0; rank < choices.size(); ++rank) {
    const auto [is_cuda, ordinal, count, way] = choices[rank];
    require(cpu == (is_cuda == 0), "a grid has one kind of device, but rank 0 brings {} and rank {} brings {}",
            cpu ? "cpu" : "cuda", rank, cpu ? "cuda" : "cpu");
    any = any || (!cpu && ordinal == Device::any);
    require(cpu || (ordinal == Device::any ? count > 0 : 0 <= ordinal && ordinal < count),
            "{} is not there: rank {} sees {} CUDA devices", Device::cuda(static_cast<int>(ordinal)), rank, count);
    require(cpu || way == choices[0][3],
            "ranks 0 and {} would move device tensors in different ways: set TARTAN_TRANSPORT on all of them", rank);
  }
  std::vector<Device> devices(choices.size());
  if (cpu) return devices;
  const auto beside = said<1>(root, {any ? root.rank_on_node() : 0});
  for (std::size_t rank = 0; rank < choices.size(); ++rank) {
    const auto [is_cuda, ordinal, count, way] = choices[rank];
    devices[rank] = Device::cuda(static_cast<int>(ordinal == Device::any ? beside[rank][0] % count : ordinal));
  }
  return devices;
}

/// The grid that `shape` makes of the partition.
Grid fitting(const Partition& partition, const Shape& shape, Device device = {}) {
  require(device.is_cpu() || cuda::built_in(),
          "{} is not there: this build of Tartan has CPU support only (TARTAN_CUDA=ON)", device);
  Grid grid(shape);
  require(grid.size() == partition.size(), "a grid of {} needs {} ranks, but the partition has {}{}", text(shape),
          grid.size(), partition.size(),
          grid.size() < partition.size() ? fmt::format(": its first({}) has them", grid.size())
                                         : ": start the program by mpiexec with as many");
  return grid;
}

/// The same, which is one grid on all ranks of the root. Collective over it.
Grid agreed(const Partition& partition, const Shape& shape, Device device) {
  const auto& root = partition.root();
  std::optional<Grid> grid;
  std::exception_ptr error;
  try {
    grid = fitting(partition, shape, device);
  } catch (...) {
    error = std::current_exception();
  }
  if (!root.is_null()) {
    agree(root, error, "the shape of a grid", text(shape));
  } else if (error) {
    std::rethrow_exception(error);
  }
  return *grid;
}

/// One for each axis. Collective over the root.
std::vector<Communicator> lines(const Partition& partition, const Grid& grid) {
  std::vector<Communicator> axes;
  for (int axis = 0; axis < grid.axes(); ++axis) {
    axes.push_back(split(partition, grid, std::span(&axis, 1), fmt::format("axis {} of {}", axis, text(grid.shape()))));
  }
  return axes;
}

}  // namespace

CartesianTopology::CartesianTopology(const Partition& partition, const Shape& shape, Device device) {
  const Grid grid = agreed(partition, shape, device);
  auto devices = chosen(device, partition.root());
  state_ = std::shared_ptr<const State>(new State{partition, grid, std::move(devices), lines(partition, grid)});
}

CartesianTopology::CartesianTopology(const Partition& partition, const Shape& shape, std::vector<Device> devices) {
  const Grid grid = fitting(partition, shape);
  if (!partition.root().is_null())
    check_collective(partition.root(), [&] { return fmt::format("a grid of {}", text(shape)); });
  const int ranks = partition.root().is_null() ? 0 : partition.root().size();
  require(std::ssize(devices) == ranks, "{} devices were given for the {} ranks of the root", devices.size(), ranks);
  state_ = std::shared_ptr<const State>(new State{partition, grid, std::move(devices), lines(partition, grid)});
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
  return root().is_null() ? Device{} : state_->devices[static_cast<std::size_t>(root().rank())];
}

const std::vector<Device>& CartesianTopology::devices() const {
  require(state_ != nullptr, "an empty topology is used");
  return state_->devices;
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
  std::vector<Device> devices;
  for (int position = 0; active() && position < size(); ++position) {
    if (first_of(grid(), axes, position) != first_of(grid(), axes, rank())) continue;
    devices.push_back(
        state_->devices[static_cast<std::size_t>(partition().ranks()[static_cast<std::size_t>(position)])]);
  }
  return {Partition(group, std::move(ranks), group), shape, std::move(devices)};
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
  return a.state_->grid == b.state_->grid && a.state_->devices == b.state_->devices &&
         a.state_->partition == b.state_->partition;
}

}  // namespace tartan
