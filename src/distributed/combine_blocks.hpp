#pragma once

#include <span>
#include <vector>

#include <tartan/partition/cartesian_topology.hpp>

#include "comm/all_combine.hpp"

namespace tartan {

/// Collective over the communicators of `axes`, one call for each: combine_along() for an operation of the caller's on
/// blocks of `block` doubles in the host's memory, associative and the same whichever of two comes first.
template <CombineBlocks combine>
void combine_along(const CartesianTopology& topology, const std::vector<int>& axes, std::span<double> values,
                   int block) {
  if (!topology.active()) return;
  for (const int axis : axes) all_combine<combine>(topology.axis(axis), values, block);
}

}  // namespace tartan
