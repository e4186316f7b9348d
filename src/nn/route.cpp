#include "nn/route.hpp"

#include <tartan/partition/cartesian_topology.hpp>

#include "base/fail.hpp"

namespace tartan::lookup {
namespace {

/// Whether a lookup takes ids placed as `i` with a weight placed as `w` along an axis; `alone`: of one rank.
bool meet(Placement i, Placement w, Moving moving, bool alone) {
  if (moving == Moving::nothing) {
    return w.is_root() ? i.is_root() : i.is_replicate() || (i.is_shard() && w.is_replicate());
  }
  if (i.is_shard()) return !w.is_partial() && !w.is_shard(1);
  return i.is_replicate() && (w.is_replicate() || w.is_shard() || (w.is_root() && alone));
}

}  // namespace

Route::Route(const Distribution& ids, const Distribution& weight, Moving how) : moving{how} {
  const char* const kind = moving == Moving::rows ? "an embedding by rows" : "an embedding";
  require(weight.shape().dimensions() == 2, "an embedding takes a weight of two dimensions, not {}", weight);
  require(ids.topology() == weight.topology(), "an embedding takes ids and weight on one topology, not {} and {}", ids,
          weight);
  auto placed = ids.placements();
  auto partial = weight.placements();
  // The dimensions of ids nest as they do there, the columns as they do in the weight.
  auto options = ids.options();
  for (std::size_t a = 0; a < placed.size(); ++a) {
    const auto axis = static_cast<int>(a);
    const auto w = weight.placement(axis);
    const auto i = ids.placement(axis);
    require(meet(i, w, moving, weight.grid().extent(axis) == 1),
            "{} does not take ids placed as {} with a weight placed as {}: along axis {}, {} and {} do not meet", kind,
            ids, weight, axis, i, w);
    if (w.is_shard(1)) placed[a] = Shard{-1};
    if (w.is_shard(1) && weight.blocks(axis)) options.block_extents[axis] = weight.options().block_extents.at(axis);
    if (moving == Moving::nothing && (w.is_shard(0) || w.is_partial())) placed[a] = Partial{};
    if (i.is_shard()) partial[a] = Partial{};
    if (w.is_partial()) partial[a] = Replicate{};
  }
  if (weight.axes_of(1).size() > 1) options.nesting = weight.nesting();
  result = Distribution(ids.topology(), ids.shape().appended(weight.shape()[1]), std::move(placed), std::move(options));
  terms = weight.with(std::move(partial), weight.options());
  if (moving == Moving::nothing) return;

  for (int axis = 0; axis < weight.grid().axes(); ++axis) {
    const bool asks = ids.placement(axis).is_shard() && !weight.placement(axis).is_replicate();
    require(!ids.placement(axis).is_shard() || !weight.blocks(axis),
            "an embedding by rows needs balanced blocks along axis {}, which splits the ids, not {}", axis, weight);
    if (asks && weight.grid().extent(axis) > 1) pulled.push_back(axis);
  }
  for (const int axis : weight.axes_of(0)) {
    if (ids.placement(axis).is_replicate()) gathered.insert(gathered.begin(), axis);
  }
  require(pulled.size() <= 1,
          "an embedding by rows asks for rows along one axis at most, not along each that splits {}", weight);
  require(pulled.empty() || !weight.placement(pulled[0]).is_shard() || weight.axes_of(0).back() == pulled[0],
          "an embedding by rows needs the axis that splits both ids and rows to nest innermost in {}", weight);
}

}  // namespace tartan::lookup
