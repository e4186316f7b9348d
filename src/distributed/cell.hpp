#pragma once

#include <optional>
#include <string>
#include <vector>

#include <tartan/partition/cartesian_topology.hpp>
#include <tartan/partition/distribution.hpp>

namespace tartan {

/// One cell of the table of moves: the placement of one axis changes, the others stay. Holds what this rank needs for
/// it.
class Cell {
 public:
  /// `before` and `after` differ on `axis` only, on one topology; no axis nested inside `axis` shards the dimension
  /// that it leaves or enters.
  Cell(const Distribution& before, const Distribution& after, int axis);

  /// The transposed move: dual(after) -> dual(before).
  Cell adjoint() const;

  /// Collective over the axis's communicator where the move communicates. `in` is this rank's part before, `out` after,
  /// both on the topology's device.
  template <class T>
  void apply(const T* in, T* out) const;

  std::string to_string() const;

  /// This rank's part as a matrix; each rank of the axis's group sends or receives one block of its columns.
  struct Side {
    Side() = default;
    /// `cuts` holds what each rank of the group has of dimension `dim`; without a cut dimension, each has its box.
    Side(const Box& mine, const std::vector<Box>& cuts, int dim, bool partly);

    Index rows = 0;
    std::vector<Index> widths;
    std::vector<Index> counts;  ///< elements per rank
  };

 private:
  int axis_;
  Placement from_;
  Placement to_;
  Device device_;
  Communicator communicator_;
  Box before_;  ///< of this rank
  Box after_;
  Side sent_;
  Side received_;
  Index largest_ = 0;          ///< elements of any rank's part, before and after
  std::optional<Index> even_;  ///< what any two ranks of the group exchange, where it is the same for all
};

}  // namespace tartan
