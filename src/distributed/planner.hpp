#pragma once

#include <optional>
#include <vector>

#include <tartan/partition/distribution.hpp>

namespace tartan {

/// One changed axis and the distribution after it changed.
struct AxisStep {
  int axis;
  Distribution after;
};

/// The order of single-axis moves that brings `from` to `to` (two distributions of a shape on one grid) with the fewest
/// elements sent in total, or nothing where no order of them is possible: then the move is one Transfer. Shards are
/// left inner before outer and entered outer before inner. Axes of extent 1 never take a step.
std::optional<std::vector<AxisStep>> plan_axes(const Distribution& from, const Distribution& to);

/// Elements that all ranks together send when `axis` changes from its placement in `before` to that in `after`.
Index elements_sent(const Distribution& before, const Distribution& after, int axis);

}  // namespace tartan
