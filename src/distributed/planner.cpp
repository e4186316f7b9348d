#include "distributed/planner.hpp"

#include <algorithm>
#include <limits>

#include "base/fail.hpp"

namespace tartan {
namespace {

/// For each coordinate on `axis`, the summed extents of its blocks of `dim` over all coordinates of the axes outside
/// it.
std::vector<Index> extents_along(const Distribution& distribution, int dim, int axis) {
  std::vector<Index> outer{distribution.shape()[dim]};
  const auto cut = [&](Index extent, int a) {
    return distribution.blocks(a) ? *distribution.blocks(a)
                                  : Decomposition::balanced(extent, distribution.grid().extent(a));
  };
  for (const int a : distribution.axes_of(dim)) {
    if (a == axis) break;
    std::vector<Index> inner;
    for (const Index extent : outer) {
      const auto blocks = cut(extent, a);
      for (Index part = 0; part < blocks.parts(); ++part) inner.push_back(blocks.block(part).extent());
    }
    outer = std::move(inner);
  }
  std::vector<Index> sums(static_cast<std::size_t>(distribution.grid().extent(axis)));
  for (const Index extent : outer) {
    const auto blocks = cut(extent, axis);
    for (std::size_t part = 0; part < sums.size(); ++part)
      sums[part] += blocks.block(static_cast<Index>(part)).extent();
  }
  return sums;
}

/// Searches the subsets of changed axes: what a step costs, and whether it is a cell, depends only on which axes
/// changed before it, because entered axes nest in the order of the target and the others in that of the source.
class Search {
 public:
  Search(const Distribution& from, const Distribution& to) : from_{from}, to_{to} {
    for (int axis = 0; axis < from.grid().axes(); ++axis) {
      if (from.grid().extent(axis) == 1) continue;
      if (from.placement(axis) != to.placement(axis)) {
        changed_.push_back(axis);
      } else if (from.blocks(axis) != to.blocks(axis)) {
        possible_ = false;
      }
    }
    possible_ = possible_ && changed_.size() <= 16;
  }

  std::optional<std::vector<AxisStep>> best() const {
    if (!possible_) return std::nullopt;
    const std::size_t all = (std::size_t{1} << changed_.size()) - 1;
    std::vector<Index> cost(all + 1, unreachable);
    std::vector<std::size_t> last(all + 1, 0);
    cost[0] = 0;
    for (std::size_t done = 0; done < all; ++done) {
      if (cost[done] == unreachable) continue;
      const auto before = at(done);
      for (std::size_t k = 0; k < changed_.size(); ++k) {
        const auto then = done | (std::size_t{1} << k);
        if (then == done || !leaves_innermost(*before, changed_[k])) continue;
        const auto after = at(then);
        if (!after || !enters_innermost(*after, changed_[k])) continue;
        const Index total =
            checked_add(cost[done], changed_.size() == 1 ? 0 : elements_sent(*before, *after, changed_[k]));
        if (total < cost[then]) {
          cost[then] = total;
          last[then] = k;
        }
      }
    }
    if (cost[all] == unreachable || *at(all) != tagged(to_)) return std::nullopt;
    std::vector<AxisStep> steps;
    for (std::size_t done = all; done != 0; done &= ~(std::size_t{1} << last[done])) {
      steps.push_back({changed_[last[done]], *at(done)});
    }
    std::ranges::reverse(steps);
    return steps;
  }

 private:
  static constexpr Index unreachable = std::numeric_limits<Index>::max();

  /// `distribution` with the tags that axes of extent 1 have in the source.
  Distribution tagged(const Distribution& distribution) const {
    auto placements = distribution.placements();
    for (int axis = 0; axis < from_.grid().axes(); ++axis) {
      if (from_.grid().extent(axis) == 1) placements[static_cast<std::size_t>(axis)] = from_.placement(axis);
    }
    return distribution.with(std::move(placements), distribution.options());
  }

  bool is_done(std::size_t done, int axis) const {
    const auto found = std::ranges::find(changed_, axis);
    return found != changed_.end() && (done >> (found - changed_.begin()) & 1) != 0;
  }

  /// The distribution when the axes of the set `done` have changed; nothing where given block extents would nest.
  std::optional<Distribution> at(std::size_t done) const {
    auto placements = from_.placements();
    DistributionOptions options;
    for (const int axis : from_.nesting()) {
      if (!is_done(done, axis)) options.nesting.push_back(axis);
    }
    for (const int axis : to_.nesting()) {
      if (is_done(done, axis)) options.nesting.push_back(axis);
    }
    for (const auto* side : {&from_, &to_}) {
      for (auto& [axis, extents] : side->options().block_extents) {
        if (is_done(done, axis) == (side == &to_)) options.block_extents[axis] = extents;
      }
    }
    for (const int axis : changed_) {
      if (is_done(done, axis)) placements[static_cast<std::size_t>(axis)] = to_.placement(axis);
    }
    for (const auto& [axis, extents] : options.block_extents) {
      const auto& given = placements[static_cast<std::size_t>(axis)];
      for (int other = 0; other < from_.grid().axes(); ++other) {
        if (other != axis && from_.grid().extent(other) > 1 && placements[static_cast<std::size_t>(other)] == given) {
          return std::nullopt;
        }
      }
    }
    return from_.with(std::move(placements), std::move(options));
  }

  static bool innermost(const Distribution& distribution, int axis) {
    return !distribution.placement(axis).is_shard() ||
           distribution.axes_of(distribution.placement(axis).dim()).back() == axis;
  }
  static bool leaves_innermost(const Distribution& before, int axis) { return innermost(before, axis); }
  static bool enters_innermost(const Distribution& after, int axis) { return innermost(after, axis); }

  const Distribution& from_;
  const Distribution& to_;
  std::vector<int> changed_;
  bool possible_ = true;
};

}  // namespace

Index elements_sent(const Distribution& before, const Distribution& after, int axis) {
  const auto from = before.placement(axis);
  const auto to = after.placement(axis);
  const Index parts = before.grid().extent(axis);
  Index whole = before.shape().elements();
  for (int other = 0; other < before.grid().axes(); ++other) {
    const auto& placement = before.placement(other);
    if (other != axis && (placement.is_replicate() || placement.is_partial())) {
      whole = checked_multiply(whole, before.grid().extent(other));
    }
  }
  if (whole == 0) return 0;
  const auto first = [&](const Distribution& d, int dim) {
    return whole / d.shape()[dim] * extents_along(d, dim, axis)[0];
  };
  if (from.is_shard()) {
    if (to.is_shard()) {
      const auto a = extents_along(before, from.dim(), axis);
      const auto b = extents_along(after, to.dim(), axis);
      Index kept = 0;
      for (std::size_t p = 0; p < a.size(); ++p) kept += a[p] * b[p];
      return whole - whole / before.shape()[from.dim()] / before.shape()[to.dim()] * kept;
    }
    if (to.is_replicate()) return checked_multiply(parts - 1, whole);
    return to.is_root() ? whole - first(before, from.dim()) : 0;
  }
  if (from.is_partial()) {
    if (to.is_partial()) return 0;
    return checked_multiply((to.is_replicate() ? 2 : 1) * (parts - 1), whole);
  }
  if (from.is_root()) {
    if (to.is_shard()) return whole - first(after, to.dim());
    return to.is_replicate() ? checked_multiply(parts - 1, whole) : 0;
  }
  return 0;
}

std::optional<std::vector<AxisStep>> plan_axes(const Distribution& from, const Distribution& to) {
  return Search(from, to).best();
}

}  // namespace tartan
