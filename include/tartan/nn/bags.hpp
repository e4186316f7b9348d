#pragma once

#include <optional>
#include <span>

#include <tartan/distributed/distributed_tensor.hpp>

namespace tartan {

/// A batch of ids cut into bags, each of which a lookup reduces to one row. Whole bags lie on a rank, with all of their
/// ids. Where the bags begin is found and checked when the object is made, which then serves any number of tables.
///
/// Element types: int32, int64.
template <class I>
class Bags {
 public:
  /// Does not communicate. Bag b is row b of ids (B, L), which lie in any way but Partial or with L split. Throws
  /// Error, the same on every rank, for others.
  explicit Bags(const DistributedTensor<I>& ids);

  /// Bag b is ids[offsets[b]] to ids[offsets[b + 1] - 1], in global positions of the ids (N); the last bag ends with
  /// them. Offsets (B), or (B + 1) with `include_last_offset`, when the last of them is N. Bags lie as their offsets
  /// do, which at most one axis of more than one rank splits.
  ///
  /// Does not communicate where no axis splits the offsets and the ids lie as they do. Collective over the root
  /// otherwise: one all-gather of 16 bytes from each rank and an agreement where an axis splits the offsets, and one
  /// redistribution of the ids unless each rank has the ids of its own bags already. (from_local() makes them lie so.)
  ///
  /// Throws Error on every rank, naming position and bound, where offsets do not start at 0, decrease, exceed N or,
  /// with include_last_offset, do not end at N, and where there are ids but no bags.
  Bags(const DistributedTensor<I>& ids, const DistributedTensor<I>& offsets, bool include_last_offset = false);

  /// Collective over the root: one all-gather of 24 bytes from each rank and an agreement; no id moves. For programs
  /// that load their data in parts: the global batch of the bags of the ranks along `axis` (none: every rank has all of
  /// it), one after the other. Each rank gives its own bags, as many as it likes, with offsets that count in its own
  /// ids (none at all where it has run out of data); ranks that differ along other axes only give the same. Inactive
  /// ranks may give anything. Throws Error on every rank where one rank's offsets are wrong as above, or where two that
  /// should give the same differ.
  static Bags from_local(const CartesianTopology& topology, std::optional<int> axis, const Tensor<I>& ids,
                         const Tensor<I>& offsets, bool include_last_offset = false);

  /// As they lie now: (B, L), or (N) with each rank's ids those of its bags. Weights of ids are placed so.
  const DistributedTensor<I>& ids() const noexcept { return ids_; }
  /// Of a tensor (B) with one element for each bag.
  const Distribution& distribution() const noexcept { return distribution_; }
  /// Where this rank's bags begin in its ids, and where the last one ends: one more than bags.
  std::span<const Index> offsets() const { return offsets_.span(); }
  /// The same on the topology's device.
  const Tensor<Index>& local_offsets() const noexcept { return local_offsets_; }
  /// Whether the offsets they were made of included the last; none for rows (B, L).
  std::optional<bool> include_last_offset() const noexcept { return include_last_offset_; }
  /// Of a tensor (B, ...) that has a row for each bag, as features and labels beside them: the rows lie with the bags.
  Distribution beside(const Shape& shape) const;

 private:
  Bags(DistributedTensor<I> ids, Distribution distribution, Tensor<Index> offsets, bool include_last_offset)
      : ids_(std::move(ids)), distribution_(std::move(distribution)), include_last_offset_{include_last_offset} {
    keep(std::move(offsets));
  }

  void keep(Tensor<Index> offsets) {
    local_offsets_ = offsets.to(distribution_.topology().device());
    offsets_ = std::move(offsets);
  }

  DistributedTensor<I> ids_;
  Distribution distribution_;
  Tensor<Index> offsets_;
  Tensor<Index> local_offsets_;
  std::optional<bool> include_last_offset_;
};

extern template class Bags<std::int32_t>;
extern template class Bags<std::int64_t>;

}  // namespace tartan
