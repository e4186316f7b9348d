#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include <tartan/partition/cartesian_topology.hpp>
#include <tartan/partition/distribution.hpp>
#include <tartan/tensor/tensor.hpp>

#include "base/fail.hpp"
#include "distributed/carrier.hpp"

namespace tartan {

inline std::vector<Index> times(const std::vector<Index>& counts, Index factor) {
  auto result = counts;
  for (Index& count : result) count *= factor;
  return result;
}

inline Index total(const std::vector<Index>& counts) { return std::accumulate(counts.begin(), counts.end(), Index{0}); }

/// The elements of a tensor on any device: for who knows where they lie.
template <class T>
std::span<const T> elements_of(const Tensor<T>& local) {
  return {local.data(), static_cast<std::size_t>(local.elements())};
}
template <class T>
std::span<T> elements_of(Tensor<T>& local) {
  return {local.data(), static_cast<std::size_t>(local.elements())};
}

/// The group along one axis, and which rows of a table each of its ranks owns.
struct Owners {
  const Communicator& communicator;
  std::vector<Interval> rows;

  Owners(const Distribution& table, int axis) : communicator{table.topology().axis(axis)} {
    for (int coordinate = 0; coordinate < communicator.size(); ++coordinate) {
      rows.push_back(table.box(table.grid().moved(table.topology().rank(), axis, coordinate))[0]);
    }
  }

  /// How many of the ascending `numbers` each rank owns; throws where one has no owner.
  std::vector<Index> counts(std::span<const Index> numbers) const {
    std::vector<Index> result;
    for (const auto& owned : rows) {
      result.push_back(std::ranges::lower_bound(numbers, owned.end) - std::ranges::lower_bound(numbers, owned.begin));
    }
    require(total(result) == static_cast<Index>(numbers.size()), "rows were named that no rank along the axis owns");
    return result;
  }

  /// What the others send to this rank when it sends `counts` to them.
  std::vector<Index> answered(const std::vector<Index>& counts) const {
    std::vector<Index> result(counts.size());
    communicator.all_to_all(std::span<const Index>(counts), std::span<Index>(result), 1);
    return result;
  }

  /// Sends rows of `out` (rows, columns), send[p] to rank p in this order, and gives those that come, on its device.
  template <class T>
  Tensor<T> exchange(const Tensor<T>& out, const std::vector<Index>& send, const std::vector<Index>& receive,
                     Index most) const {
    const Index columns = out.shape()[1];
    Tensor<T> in(Shape{total(receive), columns}, out.device());
    Carrier{communicator, out.device()}.all_to_all<T>(elements_of(out), times(send, columns), elements_of(in),
                                                      times(receive, columns), most * columns);
    return in;
  }
};

}  // namespace tartan
