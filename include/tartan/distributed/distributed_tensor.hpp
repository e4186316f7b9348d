#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <tartan/partition/cartesian_topology.hpp>
#include <tartan/partition/distribution.hpp>
#include <tartan/tensor/tensor.hpp>

namespace tartan {

/// What from_local verifies. Copies along Replicate axes are taken to be the same: where they are not, each rank goes
/// on with its own, what it computes differs, and an error that one copy leads to (an id out of range) is thrown on its
/// rank alone, whose peers wait until the deadline. `replicas`, or TARTAN_CHECKS=collective, finds that.
enum class LocalCheck {
  none,    ///< nothing: the caller is certain
  shapes,  ///< every rank's shape, and that all name one distribution; one agreement. With TARTAN_CHECKS=collective as
           ///< `replicas`
  replicas,  ///< also that copies along Replicate axes have the same bits; two all-reductions of 8 bytes
};

/// A logical global tensor laid over a topology by a distribution: this rank's part of it. Every rank of the topology's
/// root has the object; inactive ranks, and those that hold nothing, have a part whose extents are all 0. Parts lie on
/// the device of the topology. Of integers, which are mostly ids, what came from the host is kept there as well.
///
/// Copies share the elements. Writing goes through modify(), which every rank calls and which advances version(), so
/// that whatever was derived from the old elements can tell.
///
/// Element types: float, double, bfloat16, half, int32, int64.
template <class T>
class DistributedTensor {
 public:
  using value_type = T;

  /// No tensor: all but is_null() and version() throws Error.
  DistributedTensor() = default;
  /// Uninitialised elements. Throws Error where the distribution has no topology.
  explicit DistributedTensor(Distribution distribution);

  /// Every logical element is `value` (0 unless given): of a Partial tensor, the sum of the terms is.
  static DistributedTensor constant(Distribution distribution, T value);
  static DistributedTensor zeros(Distribution distribution) { return constant(std::move(distribution), T{}); }
  /// The logical element at global index i is `function(i)`, i a span of one Index per dimension. Does not communicate:
  /// no rank sees more than its own part. Along Partial axes, coordinate 0 holds the value and the others -0.0. The
  /// function runs on the host, whatever the device.
  template <class F>
  static DistributedTensor from_function(Distribution distribution, F&& function);
  /// This rank's part as it is, shared where it lies on the topology's device, otherwise copied there. Collective over
  /// the topology's active ranks unless `check` is none; throws on every rank where a shape differs from what the
  /// distribution gives that rank, distributions differ between ranks, or copies do.
  static DistributedTensor from_local(Distribution distribution, Tensor<T> local,
                                      LocalCheck check = LocalCheck::shapes);
  /// Collective. The tensor whose elements position 0 of the topology has in `full`; other ranks' `full` is ignored.
  /// Throws on every rank where its shape is not the distribution's, or distributions differ between ranks.
  static DistributedTensor from_root(Distribution distribution, const Tensor<T>& full);
  /// The tensor that every rank has in `full`: cut locally, unless a dimension is sharded in a way that needs a
  /// Transfer. Collective. Throws on every rank where a rank's shape is not the distribution's, or distributions
  /// differ.
  static DistributedTensor from_replicated(Distribution distribution, const Tensor<T>& full);

  bool is_null() const noexcept { return state_ == nullptr; }
  const Distribution& distribution() const {
    if (!state_) require_state();
    return distribution_;
  }
  const CartesianTopology& topology() const { return distribution().topology(); }
  const Shape& shape() const { return distribution().shape(); }
  /// The global indices of local(); empty intervals where this rank holds nothing.
  Box box() const;
  /// True where this rank holds a part, possibly an empty one.
  bool holds() const;

  /// This rank's part, on the topology's device.
  const Tensor<T>& local() const;
  /// This rank's part on the host: the part itself where it lies there, otherwise a copy, for which it waits.
  Tensor<T> local_on_host() const;
  /// Whether local_on_host() has nothing to copy.
  bool is_on_host() const;
  /// Calls `write(Tensor<T>&)` on this rank's part. Every rank calls it, in the same order.
  template <class F>
  void modify(F&& write) {
    require_state();
    ++state_->version;
    Tensor<T> part = local_;
    std::forward<F>(write)(part);
    if (part.data() != local_.data() || part.shape() != local_.shape()) {
      throw Error("modify() writes elements: it cannot replace the part of " + distribution_.to_string());
    }
  }
  /// Advances with every modify(), equally on all ranks.
  std::uint64_t version() const noexcept { return state_ ? state_->version : 0; }

  /// Collective. The whole tensor on every active rank, on the host; shape (0, ...) on the others.
  Tensor<T> full_tensor() const;
  /// Collective. The whole tensor on the host at position 0; nothing elsewhere.
  Tensor<T> to_root() const;

  DistributedTensor clone() const;
  /// The same elements under another distribution that gives every rank as many elements as this one: the caller knows
  /// that it describes them. Shares elements and version.
  DistributedTensor viewed_as(Distribution distribution) const;

  /// The least and the greatest element of this rank's part; none where it is empty.
  std::optional<std::pair<T, T>> local_range() const;
  /// Whether every element was found to lie in [0, bound) for all ranks, since the last modify(). `bounds`: one for
  /// all elements, or one for each index of the last dimension.
  bool is_checked(std::span<const Index> bounds) const noexcept;
  void set_checked(std::span<const Index> bounds) const;
  bool is_checked(Index bound) const noexcept { return is_checked({&bound, 1}); }
  void set_checked(Index bound) const { set_checked({&bound, 1}); }

 private:
  struct State {
    std::uint64_t version = 0;
    std::optional<std::pair<std::uint64_t, std::vector<Index>>> checked = {};  ///< (version, bounds) that passed
    std::optional<std::pair<std::uint64_t, Tensor<T>>> host = {};              ///< (version, the part on the host)
  };

  /// Takes `local`, which lies anywhere, as this rank's part.
  void adopt(Tensor<T> local);

  void require_state() const;

  Distribution distribution_;
  Tensor<T> local_;
  std::shared_ptr<State> state_;  ///< shared by everything that shares the elements
};

template <class T>
template <class F>
DistributedTensor<T> DistributedTensor<T>::from_function(Distribution distribution, F&& function) {
  Tensor<T> local(distribution.local_shape(distribution.topology().rank()));
  DistributedTensor result;
  result.distribution_ = std::move(distribution);
  if (local.elements() == 0) {
    result.adopt(std::move(local));
    return result;
  }
  const auto& d = result.distribution_;
  const auto position = d.topology().rank();
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    if (d.placement(axis).is_partial() && d.grid().coordinate(position, axis) != 0) {
      local.fill(additive_identity<T>());
      result.adopt(std::move(local));
      return result;
    }
  }
  const Box box = d.box(position);
  std::vector<Index> index;
  for (int dim = 0; dim < box.dimensions(); ++dim) index.push_back(box[dim].begin);
  for (T& element : local.span()) {
    element = static_cast<T>(function(std::span<const Index>(index)));
    for (int dim = box.dimensions() - 1; dim >= 0; --dim) {
      auto& i = index[static_cast<std::size_t>(dim)];
      if (++i < box[dim].end) break;
      i = box[dim].begin;
    }
  }
  result.adopt(std::move(local));
  return result;
}

extern template class DistributedTensor<float>;
extern template class DistributedTensor<double>;
extern template class DistributedTensor<bfloat16>;
extern template class DistributedTensor<half>;
extern template class DistributedTensor<std::int32_t>;
extern template class DistributedTensor<std::int64_t>;

}  // namespace tartan
