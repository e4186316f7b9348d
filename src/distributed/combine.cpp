#include <tartan/distributed/combine.hpp>

#include <algorithm>
#include <utility>

#include "base/element_types.hpp"
#include "distributed/carrier.hpp"

namespace tartan {

std::vector<Index> gather_numbers(const CartesianTopology& topology, std::span<const Index> mine) {
  const auto& root = topology.root();
  if (root.is_null()) return std::vector<Index>(mine.size() * static_cast<std::size_t>(topology.size()));
  const auto length = static_cast<Index>(mine.size());
  std::vector<Index> all(mine.size() * static_cast<std::size_t>(root.size()));
  root.all_gather(mine, std::span<Index>(all), std::vector<Index>(static_cast<std::size_t>(root.size()), length));
  std::vector<Index> result;
  for (const int rank : topology.partition().ranks()) {
    const auto begin = all.begin() + rank * length;
    result.insert(result.end(), begin, begin + length);
  }
  return result;
}

template <class T>
void combine_along(const CartesianTopology& topology, const std::vector<int>& axes, std::span<T> values,
                   Reduction reduction) {
  if (!topology.active()) return;
  for (const int axis : axes) topology.axis(axis).all_reduce(std::span<const T>(values), values, reduction);
}

template <class T>
void combine_along(const CartesianTopology& topology, const std::vector<int>& axes, Tensor<T>& values,
                   Reduction reduction) {
  if (!topology.active()) return;
  for (const int axis : axes) {
    if (topology.grid().extent(axis) == 1) continue;
    const std::span<T> numbers(values.data(), static_cast<std::size_t>(values.elements()));
    Carrier{topology.axis(axis), values.device()}.all_reduce<T>(numbers, numbers, reduction);
  }
}

template <class T>
Tensor<T> gather_along(const CartesianTopology& topology, const std::vector<int>& axes, Tensor<T> mine) {
  if (!topology.active()) return Tensor<T>(Shape{0}, mine.device());
  for (const int axis : axes) {
    const Index extent = topology.grid().extent(axis);
    if (extent == 1) continue;
    Tensor<T> all(Shape{extent * mine.elements()}, mine.device());
    const auto span_of = [](auto& tensor) {
      return std::span(tensor.data(), static_cast<std::size_t>(tensor.elements()));
    };
    Carrier{topology.axis(axis), mine.device()}.all_gather<T>(
        span_of(std::as_const(mine)), span_of(all),
        std::vector<Index>(static_cast<std::size_t>(extent), mine.elements()));
    mine = all;
  }
  return mine;
}

#define INSTANTIATE(T)                                                                                     \
  template void combine_along(const CartesianTopology&, const std::vector<int>&, std::span<T>, Reduction); \
  template void combine_along(const CartesianTopology&, const std::vector<int>&, Tensor<T>&, Reduction);   \
  template Tensor<T> gather_along(const CartesianTopology&, const std::vector<int>&, Tensor<T>);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
