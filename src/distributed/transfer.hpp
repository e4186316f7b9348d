#pragma once

#include <string>
#include <vector>

#include <tartan/partition/cartesian_topology.hpp>
#include <tartan/partition/distribution.hpp>

namespace tartan {

/// The move between any two distributions of a shape whose topologies have a common root, as lists of (peer, box) from
/// the intersections of blocks. For every element, each source term and each target copy have exactly one sender and
/// one receiver: the lowest rank of the root that is in both, else the lowest of each; so a pair of ranks exchanges at
/// most one box. A tensor that has both copies and terms gives and takes at coordinate 0 of its Replicate and Partial
/// axes, so that all copies consist of the same terms. What is received is added in the order of source ranks.
class Transfer {
 public:
  /// Arithmetic only.
  Transfer(const Distribution& from, const Distribution& to);

  /// The transposed move: the lists are swapped.
  Transfer adjoint() const;

  /// Collective over the root. `in` is this rank's part before, `out` after.
  template <class T>
  void apply(const T* in, T* out) const;

  /// Elements that leave the rank, as a sum over all ranks.
  static Index elements_sent(const Distribution& from, const Distribution& to);
  std::string to_string() const { return "transfer"; }

 private:
  struct Item {
    int peer;  ///< a rank of the root
    Box box;
  };

  /// What one rank of the root sends.
  static std::vector<Item> sends(const Distribution& from, const Distribution& to, int root_rank);
  /// What one rank of the root receives.
  static std::vector<Item> receives(const Distribution& from, const Distribution& to, int root_rank);

  Communicator root_;
  Box before_;
  Box after_;
  Device source_device_;
  Device target_device_;
  std::vector<Device> devices_;  ///< of all ranks of the root; none where those of source and target differ
  std::vector<Item> sends_;
  std::vector<Item> receives_;
  Index largest_ = 0;          ///< elements of the largest box that any two ranks exchange, or more
  bool many_terms_ = false;    ///< several received boxes may overlap
  bool many_sources_ = false;  ///< the same of the adjoint
};

}  // namespace tartan
