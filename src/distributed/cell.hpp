#pragma once

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

  /// Collective over the axis's communicator where the move communicates. `in` is this rank's part before, `out` after.
  template <class T>
  void apply(const T* in, T* out) const;

  std::string to_string() const;

 private:
  int axis_;
  Placement from_;
  Placement to_;
  Communicator communicator_;
  std::vector<Box> before_;  ///< what each rank of the axis's group holds
  std::vector<Box> after_;
};

}  // namespace tartan
