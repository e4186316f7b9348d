#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <vector>

#include <tartan/distributed/distributed_tensor.hpp>

namespace tartan {

/// The linear map that brings a tensor from one distribution to another of the same shape, planned once and used often.
/// Redistribution changes where the numbers are, never what they mean.
///
/// On one topology each changed axis is one cell of the table of moves (docs/design.md), in the order that sends the
/// fewest bytes. Where no order of cells is possible (a dimension that nests differently, given block extents that
/// differ, or two topologies, which must have a common root) it is one Transfer: every element goes once from each
/// source term to each target copy, in one all-to-all over the root.
///
/// The topology that a move starts on keeps the 32 plans used last: a Redistribution made again, as the functions
/// below do at every call, is only looked up. Plans end with their topology.
///
/// Moves that need more than this rank's own elements are collective: cells over the active ranks of the topology, a
/// Transfer over the root. Sums of Partial terms are rounded in an order that depends on the grid, and only on it.
class Redistribution {
 public:
  /// Pure arithmetic; does not communicate. Throws Error where the shapes differ, the topologies have no common
  /// root or what the ranks would send does not fit 64 bits.
  Redistribution(Distribution from, Distribution to);

  const Distribution& domain() const noexcept { return from_; }
  const Distribution& range() const noexcept { return to_; }

  /// Collective. Takes a tensor placed as domain(), gives one placed as range(). Where nothing moves the result
  /// shares the elements of `x`.
  template <class T>
  DistributedTensor<T> forward(const DistributedTensor<T>& x) const;
  /// Collective. The same into the elements of `y`, placed as range(), which must not share those of `x`.
  template <class T>
  void forward_into(const DistributedTensor<T>& x, DistributedTensor<T>& y) const;
  /// Collective. The transposed map, step by step in reverse: takes a tensor placed as range().dual(), gives one placed
  /// as domain().dual().
  template <class T>
  DistributedTensor<T> adjoint(const DistributedTensor<T>& y) const;

  /// Elements that all ranks together send (as CommRecorder counts them), of forward().
  Index elements_sent() const;
  /// The steps in order: "axis 0: Root -> Replicate; axis 2: Partial -> Shard(1)".
  std::string to_string() const;

 private:
  struct Plan;
  template <class T>
  DistributedTensor<T> apply(const DistributedTensor<T>& x, const Distribution& domain, const Distribution& range,
                             bool adjoint) const;

  Distribution from_;
  Distribution to_;
  std::shared_ptr<const Plan> plan_;
};

/// Collective: see Redistribution. `x` under the distribution `to`, on the same or another topology with a common root.
template <class T>
DistributedTensor<T> redistribute(const DistributedTensor<T>& x, const Distribution& to) {
  return Redistribution(x.distribution(), to).forward(x);
}

/// Collective: see Redistribution. `x` under other placements on its own topology.
template <class T>
DistributedTensor<T> redistribute(const DistributedTensor<T>& x, Placements to) {
  return redistribute(x, x.distribution().with(std::move(to)));
}

/// Collective: see Redistribution. `x` with the same placement on every axis: with Replicate{} it is whole on every
/// rank.
template <class T, std::convertible_to<Placement> P>
DistributedTensor<T> redistribute(const DistributedTensor<T>& x, P to) {
  return redistribute(x, Placements(x.distribution().placements().size(), to));
}

/// Collective: see Redistribution. `x` into the elements of the existing tensor `y`, which its copies share, under y's
/// distribution.
template <class T>
void redistribute_into(const DistributedTensor<T>& x, DistributedTensor<T> y) {
  Redistribution(x.distribution(), y.distribution()).forward_into(x, y);
}

/// Collective: see Redistribution. The tensors `xs`, all on one topology, each under its distribution `to`. Those of at
/// most 256 KiB (as whole tensors) that change alike, by one cell along one axis that cuts nothing but rows, travel in
/// one message: sums may then round in another order than redistribute() has. Others move one by one.
template <class T>
std::vector<DistributedTensor<T>> redistribute_together(std::vector<DistributedTensor<T>> xs,
                                                        const std::vector<Distribution>& to);

}  // namespace tartan
