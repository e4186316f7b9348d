#include <tartan/distributed/combine.hpp>

#include "base/element_types.hpp"

namespace tartan {

template <class T>
void combine_along(const CartesianTopology& topology, const std::vector<int>& axes, std::span<T> values,
                   Reduction reduction) {
  if (!topology.active()) return;
  for (const int axis : axes) topology.axis(axis).all_reduce(std::span<const T>(values), values, reduction);
}

#define INSTANTIATE(T) \
  template void combine_along(const CartesianTopology&, const std::vector<int>&, std::span<T>, Reduction);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
