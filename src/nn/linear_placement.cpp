#include "nn/linear_placement.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <tartan/partition/cartesian_topology.hpp>

#include "base/fail.hpp"

namespace tartan::linear_rule {
namespace {

/// One axis of the table in the header.
struct Cell {
  Placement result;
  Placement bias;
  Placement to_x, to_weight, to_bias;  ///< where the gradients are
};

/// `row` and `column` number the last dimensions of x and of the weight.
std::optional<Cell> cell(Placement x, Placement weight, int row, int column) {
  const bool by_rows = weight.is_shard() && !weight.is_shard(column);
  if (x.is_shard() && !x.is_shard(row) && weight.is_replicate()) return Cell{x, Replicate{}, x, Partial{}, Partial{}};
  if (x.is_replicate() && weight.is_replicate()) return Cell{x, x, x, x, x};
  if (x.is_replicate() && by_rows) return Cell{Shard{row + weight.dim()}, weight, Partial{}, weight, weight};
  if (x.is_shard(row) && weight.is_shard(column)) return Cell{Partial{}, Replicate{}, x, weight, Replicate{}};
  if (x.is_partial() && weight.is_replicate()) return Cell{x, weight, Replicate{}, Partial{}, Replicate{}};
  if (x.is_root() && weight.is_root()) return Cell{x, x, x, x, x};
  return std::nullopt;
}

/// Where x is taken with such a weight.
Placement wanted(Placement x, Placement weight, int row, int column) {
  if (cell(x, weight, row, column)) return x;
  if (weight.is_shard(column)) return Shard{row};
  return weight.is_root() ? weight : Replicate{};
}

/// How `d` cuts one of its dimensions, as the distribution of a tensor of that dimension alone.
Distribution cut(const Distribution& d, int dim) {
  auto options = d.options();
  Placements placements;
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    const bool cuts = d.placement(axis).is_shard(dim);
    placements.push_back(cuts ? Placement(Shard{0}) : Replicate{});
    if (!cuts) options.block_extents.erase(axis);
  }
  return {d.topology(), Shape{d.shape()[dim]}, std::move(placements), std::move(options)};
}

void require_shapes(const Shape& x, const Shape& weight, const Distribution* bias) {
  const int row = x.dimensions() - 1;
  const int column = weight.dimensions() - 1;
  require(column >= 1 && row >= 0 && x[row] == weight[column],
          "linear takes x (..., in) with a weight (out, in), not the shapes {} and {}", x, weight);
  if (bias == nullptr) return;
  require(bias->shape() == weight.without(column),
          "linear takes a bias of the shape {} with a weight of the shape {}, not one of the shape {}",
          weight.without(column), weight, bias->shape());
}

}  // namespace

Placed place(const Distribution& x, const Distribution& weight, const Distribution* bias) {
  require_shapes(x.shape(), weight.shape(), bias);
  require(x.topology() == weight.topology(), "linear takes x and a weight on one topology, not {} and {}", x, weight);
  const int row = x.shape().dimensions() - 1;
  const int column = weight.shape().dimensions() - 1;
  const auto rows_alone = [&](Placements of_bias) {
    auto options = weight.options();
    std::erase_if(options.block_extents, [&](const auto& e) { return weight.placement(e.first).is_shard(column); });
    return Distribution(weight.topology(), weight.shape().without(column), std::move(of_bias), std::move(options));
  };
  Placements result, needed, to_x, to_weight, to_bias;
  for (int axis = 0; axis < x.grid().axes(); ++axis) {
    const auto p = x.placement(axis);
    const auto q = weight.placement(axis);
    const auto found = cell(p, q, row, column);
    if (!found) {
      auto instead = x.placements();
      for (std::size_t a = 0; a < instead.size(); ++a) {
        instead[a] = wanted(instead[a], weight.placements()[a], row, column);
      }
      require(!q.is_partial(),
              "linear does not take x placed as {} with a weight placed as {}: along axis {}, the weight is terms of a "
              "sum; redistribute it first",
              x, weight, axis);
      fail(
          "linear does not take x placed as {} with a weight placed as {}: along axis {}, {} and {} do not meet, but "
          "with redistribute(x, {}) they do",
          x, weight, axis, p, q, to_string(instead));
    }
    result.push_back(found->result);
    needed.push_back(found->bias);
    to_x.push_back(found->to_x);
    to_weight.push_back(found->to_weight);
    to_bias.push_back(found->to_bias);
  }
  require(cut(x, row) == cut(weight, column),
          "linear takes an x and a weight that cut `in` alike, not {} and {}; redistribute one", x, weight);
  const auto expected = rows_alone(std::move(needed));
  if (bias != nullptr) {
    require(*bias == expected, "linear takes a bias placed as {} with a weight placed as {}, not {}; redistribute it",
            expected, weight, *bias);
  }

  // The leading dimensions nest as they do in x, the last ones as in the weight; and so do given blocks.
  const auto from_weight = [&](int axis) {
    return weight.placement(axis).is_shard() && !weight.placement(axis).is_shard(column);
  };
  auto options = x.options();
  auto next = weight.nesting().begin();
  for (int& axis : options.nesting) {
    if (!from_weight(axis)) continue;
    next = std::find_if(next, weight.nesting().end(), from_weight);
    axis = *next++;
  }
  std::erase_if(options.block_extents, [&](const auto& entry) { return x.placement(entry.first).is_shard(row); });
  for (const auto& [axis, extents] : expected.options().block_extents) options.block_extents[axis] = extents;
  auto shape = x.shape().without(row);
  for (const Index extent : expected.shape()) shape = shape.appended(extent);
  return {{x.topology(), std::move(shape), std::move(result), std::move(options)},
          x.with(std::move(to_x)),
          weight.with(std::move(to_weight)),
          expected.with(std::move(to_bias))};
}

}  // namespace tartan::linear_rule
