#pragma once

#include <span>
#include <vector>

#include <tartan/partition/cartesian_topology.hpp>
#include <tartan/tensor/tensor.hpp>

namespace tartan {

/// Collective over the root. What the ranks of the topology have in `mine`, of one length on every rank, one after the
/// other in the order of their positions; every rank of the root gets it, inactive ones too, and zeros a
/// rank that has no root (CartesianTopology::along).
std::vector<Index> gather_numbers(const CartesianTopology& topology, std::span<const Index> mine);

/// Collective over the communicators of `axes`: replaces each element of `values` by its reduction over the ranks along
/// those axes, which have as many. For what is no tensor: statistics of rows, of which each rank of a group has its
/// term. Nothing on inactive ranks.
template <class T>
void combine_along(const CartesianTopology& topology, const std::vector<int>& axes, std::span<T> values,
                   Reduction reduction = Reduction::sum);
/// The same for the elements of a tensor on any device.
template <class T>
void combine_along(const CartesianTopology& topology, const std::vector<int>& axes, Tensor<T>& values,
                   Reduction reduction = Reduction::sum);

/// Collective over the communicators of `axes`. What the ranks along those axes have in `mine`, of one length on each,
/// one after the other in the order of their coordinates, the first axis fastest. Nothing on inactive ranks.
template <class T>
Tensor<T> gather_along(const CartesianTopology& topology, const std::vector<int>& axes, Tensor<T> mine);

}  // namespace tartan
