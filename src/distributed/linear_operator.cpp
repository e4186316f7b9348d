#include <tartan/distributed/linear_operator.hpp>

#include "base/element_types.hpp"

namespace tartan {

static_assert(LinearOperator<Redistribution>);
static_assert(LinearOperator<Adjoint<Redistribution>>);

template <class T>
DistributedTensor<T> random_tensor(const Distribution& distribution, const RandomStream& stream) {
  const auto& grid = distribution.grid();
  const int position = distribution.topology().rank();
  Index term = 0;
  for (int axis = 0; position >= 0 && axis < grid.axes(); ++axis) {
    if (distribution.placement(axis).is_partial()) term = term * grid.extent(axis) + grid.coordinate(position, axis);
  }
  const Index elements = distribution.shape().elements();
  // Every term is filled, not only the first: the elements are drawn as if nothing were Partial.
  auto drawn = DistributedTensor<T>::from_function(distribution.gradient(), [&](std::span<const Index> index) {
    return static_cast<T>(stream.normal(term * elements + distribution.shape().flat(index)) *
                          (std::is_integral_v<T> ? 1000.0 : 1.0));
  });
  return drawn.viewed_as(distribution);
}

#define INSTANTIATE(T) template DistributedTensor<T> random_tensor(const Distribution&, const RandomStream&);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
