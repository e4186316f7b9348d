#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <tartan/device/device.hpp>
#include <tartan/partition/grid.hpp>
#include <tartan/partition/partition.hpp>

namespace tartan {

class PlanCache;

/// A grid whose positions are the ranks of a partition, with one communicator per axis, made at construction, and the
/// device on which each rank has its parts of tensors. Copies share them and never communicate.
class CartesianTopology {
 public:
  CartesianTopology() = default;
  /// Collective over partition.root(). Throws Error on every rank unless the product of `shape` is partition.size(),
  /// where shapes differ between ranks, a rank's device is not there, and where devices are of different kinds.
  /// `device` may have another number on each rank. In builds with CUDA every rank learns the devices of all (32 bytes
  /// from each, of CUDA devices 40).
  CartesianTopology(const Partition& partition, const Shape& shape, Device device = default_device());
  /// Collective over partition.root(). The same where every rank knows the devices of all ranks of the root: they are
  /// there, of one kind, and not agreed upon. Throws Error unless there is one for each.
  CartesianTopology(const Partition& partition, const Shape& shape, std::vector<Device> devices);

  const Grid& grid() const;
  const Partition& partition() const;
  const Communicator& root() const { return partition().root(); }
  /// The active ranks, in row-major order of the grid; null on the others.
  const Communicator& communicator() const { return partition().communicator(); }
  bool active() const { return partition().active(); }
  /// This rank's position in the grid, or -1 where it is inactive.
  int rank() const { return partition().rank(); }
  int size() const { return partition().size(); }
  /// Where this rank has its parts of the tensors on this grid.
  Device device() const;
  /// Those of all ranks of root(), in its order; none where that is null.
  const std::vector<Device>& devices() const;
  /// This rank's coordinates; throws Error on an inactive rank.
  std::vector<int> coordinates() const;

  /// The ranks that differ from this one only on `axis`, in order of that coordinate; null on inactive ranks.
  const Communicator& axis(int axis) const;
  /// Collective over root(). The sub-grid of `axes` through this rank, as a topology whose root is its own ranks: each
  /// such group of ranks gets its own. DistDL's create_cartesian_subtopology_partition. Inactive ranks get an inactive
  /// one, whose root is null: nothing is sent there, and sums over all ranks are 0.
  CartesianTopology along(std::span<const int> axes) const;
  CartesianTopology along(std::initializer_list<int> axes) const { return along(std::span(axes.begin(), axes.size())); }
  /// The position `steps` further along `axis`: none beyond the ends, unless `periodic`. Throws Error on an inactive
  /// rank.
  std::optional<int> neighbour(int axis, int steps, bool periodic = false) const;

  /// For redistributions: what was planned on this topology, shared by its copies.
  PlanCache& plans() const;

  /// Equal partitions, equal grids, and on each rank the same device: the same answer on every rank.
  friend bool operator==(const CartesianTopology& a, const CartesianTopology& b);

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace tartan
