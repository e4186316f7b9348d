#include <tartan/distributed/inner_product.hpp>

#include <cmath>
#include <span>

#include <tartan/distributed/redistribution.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/on.hpp"

namespace tartan {
namespace {

/// Of the parts of two tensors that lie alike.
template <class T>
double local_product(const DistributedTensor<T>& a, const DistributedTensor<T>& b) {
  const auto& x = a.local();
  const auto& y = b.local();
  if (x.elements() == 0) return 0;
  Tensor<double> sum(Shape{}, x.device());
  kernels::on(x.device(),
              [&](auto where) { kernels::inner_product(where, x.data(), y.data(), x.elements(), sum.data()); });
  return sum.to(Device{})[0];
}

double sum_over_ranks(const CartesianTopology& topology, double mine) {
  const auto& root = topology.root();
  if (!root.is_null()) root.all_reduce(std::span<const double>(&mine, 1), std::span<double>(&mine, 1));
  return mine;
}

/// `x` where every logical element lies on exactly one rank of those with coordinate 0 on the Replicate axes.
template <class T>
DistributedTensor<T> without_terms(const DistributedTensor<T>& x) {
  return redistribute(x, x.distribution().gradient());
}

}  // namespace

template <class T>
double pairing(const DistributedTensor<T>& x, const DistributedTensor<T>& y) {
  require(y.distribution() == x.distribution().dual(), "a tensor placed as {} is paired with one placed as {}, not {}",
          x.distribution(), x.distribution().dual(), y.distribution());
  return sum_over_ranks(x.topology(), local_product(x, y));
}

template <class T>
double inner(const DistributedTensor<T>& x, const DistributedTensor<T>& y) {
  const auto a = without_terms(x);
  const auto b = redistribute(y, a.distribution());
  const auto& d = a.distribution();
  bool counts = a.topology().active();
  for (int axis = 0; counts && axis < d.grid().axes(); ++axis) {
    counts = !d.placement(axis).is_replicate() || d.grid().coordinate(a.topology().rank(), axis) == 0;
  }
  return sum_over_ranks(a.topology(), counts ? local_product(a, b) : 0.0);
}

template <class T>
double norm(const DistributedTensor<T>& x) {
  return std::sqrt(inner(x, x));
}

#define INSTANTIATE(T)                                                               \
  template double pairing(const DistributedTensor<T>&, const DistributedTensor<T>&); \
  template double inner(const DistributedTensor<T>&, const DistributedTensor<T>&);   \
  template double norm(const DistributedTensor<T>&);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
