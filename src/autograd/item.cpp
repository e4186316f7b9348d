#include <tartan/autograd/item.hpp>

#include <span>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan {

template <class T>
double item(const DistributedTensor<T>& x) {
  const auto& d = x.distribution();
  require(d.shape().dimensions() == 0, "item() takes a tensor without dimensions, not {}", d);
  const int position = d.topology().rank();
  bool counts = d.holds(position);
  for (int axis = 0; counts && axis < d.grid().axes(); ++axis) {
    counts = !d.placement(axis).is_replicate() || d.grid().coordinate(position, axis) == 0;
  }
  double sum = counts ? static_cast<double>(x.local_on_host()[0]) : 0;
  const auto& root = d.topology().root();
  if (!root.is_null()) root.all_reduce(std::span<const double>(&sum, 1), std::span<double>(&sum, 1));
  return sum;
}

#define INSTANTIATE(T) template double item(const DistributedTensor<T>&);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
