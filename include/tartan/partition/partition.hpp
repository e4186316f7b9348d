#pragma once

#include <memory>
#include <span>
#include <vector>

#include <tartan/base/shape.hpp>
#include <tartan/comm/communicator.hpp>
#include <tartan/device/device.hpp>

namespace tartan {

class CartesianTopology;

/// Where topologies that name no device have their tensors: the CPU, or Device::cuda() if TARTAN_DEVICE is "cuda".
/// Throws Error where it is neither.
Device default_device();

/// An ordered set of ranks of a root communicator. Every rank of the root calls every constructor and member that makes
/// a partition; ranks outside of it are *inactive*: they hold the same object and run the same program with empty
/// tensors. Copies share the communicators and never communicate.
///
/// Names for people who come from DistDL: subset is create_partition_inclusive, unite is create_partition_union,
/// cartesian is create_cartesian_topology_partition.
class Partition {
 public:
  Partition() = default;
  /// Collective over `root`, which becomes the root: all of its ranks, in their order. The communicator is duplicated.
  explicit Partition(MPI_Comm root) : Partition(Communicator(root, "world")) {}
  /// All ranks of `root`, sharing it.
  explicit Partition(Communicator root);

  /// The communicator that all related partitions descend from.
  const Communicator& root() const;
  /// The ranks of the partition as ranks of root(), in the order of the partition.
  const std::vector<int>& ranks() const;
  int size() const { return static_cast<int>(ranks().size()); }
  bool active() const { return rank() >= 0; }
  /// This rank's position, or -1 where it is inactive.
  int rank() const { return communicator().rank(); }
  /// The active ranks; null on the others.
  const Communicator& communicator() const;

  /// Collective over root(). The first `count` ranks; throws Error unless 1 <= count <= size().
  Partition first(int count) const;
  /// Collective over root(). The ranks at `positions` of this partition, in the order given; throws Error where one
  /// does not exist or is named twice.
  Partition subset(std::span<const int> positions) const;
  Partition subset(std::initializer_list<int> positions) const {
    return subset(std::span(positions.begin(), positions.size()));
  }
  /// Collective over root(). This partition's ranks, then those of `other` that are not among them; throws Error unless
  /// the roots are the same.
  Partition unite(const Partition& other) const;
  /// Collective over root(). The ranks as a grid, row-major, with tensors on `device` of each rank
  /// (CartesianTopology's constructor says more); throws Error unless the product of `shape` is size().
  CartesianTopology cartesian(const Shape& shape, Device device = default_device()) const;

  /// True where both descend from the same ranks in the same order.
  bool shares_root_with(const Partition& other) const;
  /// The same root and the same ranks in the same order.
  friend bool operator==(const Partition& a, const Partition& b);

 private:
  friend class CartesianTopology;
  struct State;
  Partition(Communicator root, std::vector<int> ranks, Communicator communicator);
  std::shared_ptr<const State> state_;
};

}  // namespace tartan
