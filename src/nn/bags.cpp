#include <tartan/nn/bags.hpp>

#include <algorithm>
#include <exception>

#include <tartan/comm/agreement.hpp>
#include <tartan/distributed/combine.hpp>
#include <tartan/distributed/redistribution.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan {
namespace {

/// Offsets that stand from `position` on among `count`, into `ids` ids, on one rank.
template <class I>
struct Stretch {
  std::span<const I> offsets;
  Index position;
  Index count;
  Index ids;
  bool include_last;
  int rank;

  /// Throws Error where they are out of order; `before`: the offset before them.
  void require_order(Index before) const {
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      const Index at = position + static_cast<Index>(i);
      const auto offset = static_cast<Index>(offsets[i]);
      const auto fits = [&](bool condition, const char* what, Index bound) {
        require(condition, "offset {} at position ({}) of the offsets on rank {} {} {}", offset, at, rank, what, bound);
      };
      fits(at > 0 || offset == 0, "is the first, which must be", 0);
      fits(offset >= before, "is less than the one before it,", before);
      fits(offset <= ids, "is beyond the end of the ids, which is at", ids);
      fits(!include_last || at + 1 < count || offset == ids,
           "is the last, which with include_last_offset must be the number of ids,", ids);
      before = offset;
    }
  }
};

/// Throws Error where `count` offsets make no bags of `ids` ids.
void require_bags(Index count, Index ids, bool include_last) {
  require(count > 0 || !include_last, "offsets with include_last_offset are at least one: the number of ids");
  require(count > 0 || ids == 0, "{} ids were given, but no offsets of bags that hold them", ids);
}

/// Collective over the root where `asked`, which all ranks are or none.
template <class Check>
void agreed(const CartesianTopology& topology, bool asked, Check check) {
  if (asked && !topology.root().is_null()) {
    collectively(topology.root(), check);
  } else {
    check();
  }
}

/// The same nesting, with the blocks of the axis, if there is one, of these extents.
DistributionOptions with_blocks(DistributionOptions options, const std::vector<int>& axes, std::vector<Index> extents) {
  options.block_extents.clear();
  if (!axes.empty()) options.block_extents[axes[0]] = std::move(extents);
  return options;
}

/// A number that differs where ids or offsets do, most probably (FNV-1a over whole numbers).
template <class I>
Index fingerprint(const Tensor<I>& ids, const Tensor<I>& offsets) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const auto* tensor : {&ids, &offsets}) {
    for (const I number : tensor->span()) hash = (hash ^ static_cast<std::uint64_t>(number)) * 0x100000001b3;
  }
  return static_cast<Index>(hash);
}

}  // namespace

template <class I>
Bags<I>::Bags(const DistributedTensor<I>& ids) : ids_(ids) {
  const auto& d = ids.distribution();
  require(d.shape().dimensions() == 2, "bags are the rows of ids (B, L), or ids (N) with offsets: not ids {} alone", d);
  for (const auto& placement : d.placements()) {
    require(!placement.is_partial() && !placement.is_shard(1), "bags lie whole on a rank: not in ids placed as {}", d);
  }
  distribution_ = Distribution(d.topology(), Shape{d.shape()[0]}, d.placements(), d.options());
  const Index length = ids.local().shape()[1];
  Tensor<Index> begins(Shape{ids.local().shape()[0] + 1});
  for (Index b = 0; b < begins.elements(); ++b) begins[b] = b * length;
  keep(std::move(begins));
}

template <class I>
Distribution Bags<I>::beside(const Shape& shape) const {
  require(shape.dimensions() >= 1 && shape[0] == distribution_.shape()[0],
          "beside {} bags lie tensors of as many rows, not of the shape {}", distribution_.shape()[0], shape);
  return {distribution_.topology(), shape, distribution_.placements(), distribution_.options()};
}

template <class I>
Bags<I>::Bags(const DistributedTensor<I>& ids, const DistributedTensor<I>& offsets, bool include_last_offset)
    : include_last_offset_{include_last_offset} {
  const auto& d = offsets.distribution();
  const auto& topology = d.topology();
  const auto& grid = d.grid();
  require(ids.shape().dimensions() == 1 && d.shape().dimensions() == 1,
          "bags with offsets are of ids (N) and offsets (B), not {} and {}", ids.distribution(), d);
  require(ids.topology() == topology, "bags are of ids and offsets on one topology, not {} and {}", ids.distribution(),
          d);
  require(!ids.distribution().any(Placement::Kind::partial) && !d.any(Placement::Kind::partial),
          "bags are not of Partial ids or offsets: {} and {}", ids.distribution(), d);
  const auto axes = d.axes_of(0);
  require(axes.size() <= 1, "offsets may be split along one axis only, not {}", d);
  const Index n = ids.shape()[0];
  const Index count = d.shape()[0];
  require_bags(count, n, include_last_offset);

  const auto on_host = offsets.local_on_host();
  const auto mine = on_host.span();
  const Interval block = offsets.holds() ? offsets.box()[0] : Interval{};
  const Stretch<I> stretch{mine, block.begin, count, n, include_last_offset, topology.root().root_rank()};
  // Per coordinate of the axis, where its bags begin in the ids, and the number of bags.
  std::vector<Index> begins{0};
  std::vector<Index> bags{count};
  Index before = 0;
  if (!axes.empty()) {
    const std::vector<Index> ends =
        mine.empty() ? std::vector<Index>{0, 0}
                     : std::vector<Index>{static_cast<Index>(mine.front()), static_cast<Index>(mine.back())};
    const auto all = gather_numbers(topology, ends);
    const int parts = grid.extent(axes[0]);
    begins.assign(static_cast<std::size_t>(parts), n);
    bags.assign(static_cast<std::size_t>(parts), 0);
    for (int part = parts - 1; part >= 0; --part) {
      const auto k = static_cast<std::size_t>(part);
      const int position = grid.moved(0, axes[0], part);
      const auto number = 2 * static_cast<std::size_t>(position);
      bags[k] = d.block(position)[0].extent();
      begins[k] = bags[k] > 0 ? all[number] : k + 1 < begins.size() ? begins[k + 1] : n;
      // What is beyond the ids is the fault of who has it.
      const bool just_before = bags[k] > 0 && d.block(position)[0].end == block.begin;
      if (just_before && all[number + 1] <= n) before = all[number + 1];
    }
  }
  agreed(topology, !axes.empty() || d.any(Placement::Kind::root), [&] { stretch.require_order(before); });

  std::vector<Index> extents;
  for (std::size_t k = 0; k < begins.size(); ++k)
    extents.push_back((k + 1 < begins.size() ? begins[k + 1] : n) - begins[k]);
  ids_ = redistribute(
      ids, Distribution(topology, ids.shape(), d.placements(), with_blocks(d.options(), axes, std::move(extents))));
  distribution_ = d;
  if (include_last_offset) {
    const auto last = std::ranges::find_if(bags.rbegin(), bags.rend(), [](Index b) { return b > 0; });
    --*last;
    distribution_ =
        Distribution(topology, Shape{count - 1}, d.placements(), with_blocks(d.options(), axes, std::move(bags)));
  }
  const Index first = ids_.box()[0].begin;
  Tensor<Index> own(Shape{distribution_.box(topology.rank())[0].extent() + 1});
  for (Index b = 0; b + 1 < own.elements(); ++b) own[b] = static_cast<Index>(mine[static_cast<std::size_t>(b)]) - first;
  own[own.elements() - 1] = ids_.local().elements();
  keep(std::move(own));
}

template <class I>
Bags<I> Bags<I>::from_local(const CartesianTopology& topology, std::optional<int> axis, const Tensor<I>& ids,
                            const Tensor<I>& offsets, bool include_last_offset) {
  const auto& grid = topology.grid();
  require(!axis || (0 <= *axis && *axis < grid.axes()), "bags are split along axis {} of a grid of {} axes",
          axis.value_or(0), grid.axes());
  const Index n = ids.elements();
  const Index count = offsets.elements();
  const auto offsets_on_host = offsets.to(Device{});
  const Index mine = fingerprint(ids.to(Device{}), offsets_on_host);
  const Index bags = count - (include_last_offset ? 1 : 0);
  const auto all = gather_numbers(topology, std::vector<Index>{n, bags, mine});
  // Of the ranks along the axis with coordinate 0 on the others.
  std::vector<Index> id_extents;
  std::vector<Index> bag_extents;
  std::vector<Index> fingerprints;
  for (int part = 0; part < (axis ? grid.extent(*axis) : 1); ++part) {
    const auto number = 3 * static_cast<std::size_t>(axis ? grid.moved(0, *axis, part) : 0);
    id_extents.push_back(all[number]);
    bag_extents.push_back(all[number + 1]);
    fingerprints.push_back(all[number + 2]);
  }
  agreed(topology, true, [&] {
    if (!topology.active()) return;
    const auto part = static_cast<std::size_t>(axis ? grid.coordinate(topology.rank(), *axis) : 0);
    const int rank = topology.root().root_rank();
    require(ids.shape().dimensions() == 1 && offsets.shape().dimensions() == 1,
            "bags with offsets are of ids (N) and offsets (B), not of the shapes {} and {} on rank {}", ids.shape(),
            offsets.shape(), rank);
    require_bags(count, n, include_last_offset);
    Stretch<I>{offsets_on_host.span(), 0, count, n, include_last_offset, rank}.require_order(0);
    const bool same = mine == fingerprints[part];
    require(
        same && n == id_extents[part] && bags == bag_extents[part],
        "rank {} gives {} bags of {} ids, and the first rank of part {} of the batch {} of {}{}: ranks load bags of "
        "their own along {} only, those that differ along other axes give the same",
        rank, bags, n, part, bag_extents[part], id_extents[part], same ? "" : ", which are not the same",
        axis ? "axis " + std::to_string(*axis) : "no axis");
  });

  Placements placements(static_cast<std::size_t>(grid.axes()), Replicate{});
  if (axis) placements[static_cast<std::size_t>(*axis)] = Shard{0};
  const auto laid = [&](std::vector<Index> extents) {
    Index total = 0;
    for (const Index extent : extents) total += extent;
    return Distribution(topology, Shape{total}, placements,
                        with_blocks({}, axis ? std::vector<int>{*axis} : std::vector<int>{}, std::move(extents)));
  };
  Tensor<Index> begins(Shape{topology.active() ? bags + 1 : 1});
  std::ranges::copy(offsets_on_host.span().first(static_cast<std::size_t>(begins.elements() - 1)), begins.data());
  begins[begins.elements() - 1] = topology.active() ? n : 0;
  return {DistributedTensor<I>::from_local(laid(id_extents), topology.active() ? ids : Tensor<I>(), LocalCheck::none),
          laid(bag_extents), std::move(begins), include_last_offset};
}

#define INSTANTIATE(I) template class Bags<I>;
TARTAN_FOR_EACH_ID_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
