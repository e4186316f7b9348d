#include <tartan/autograd/dropout.hpp>

#include <cmath>

#include <tartan/autograd/tape.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "kernels/dropout.hpp"

namespace tartan {
namespace {

template <class T>
DistributedTensor<T> masked(const DistributedTensor<T>& x, const Distribution& d, const kernels::DropoutMask& mask) {
  return rules::computed<T>(d, [&](auto where, Tensor<T>& out) {
    if (out.elements() == 0) return;
    kernels::dropout(where, x.local().data(), x.box(), d.shape(), mask, out.data());
  });
}

}  // namespace

template <class T>
Variable<T> dropout(const Variable<T>& x, double p, const RandomStream& stream) {
  require(p >= 0 && p <= 1, "dropout takes a probability from 0 to 1, not {}", p);
  require(x.shape().dimensions() <= kernels::dropout_dimensions, "dropout takes at most {} dimensions, not {}",
          kernels::dropout_dimensions, x.distribution());
  const kernels::DropoutMask mask{stream.seed(), stream.hashed_name(),
                                  static_cast<std::uint64_t>(std::llround(p * 0x1p32)), p < 1 ? 1 / (1 - p) : 0};
  auto result = Variable<T>::result(masked(x.value(), x.distribution(), mask), records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record("dropout", [x, result, mask] {
      if (const auto g = result.take_contributions()) {
        x.contribute(masked(*g, rules::input_gradient(x.distribution(), result.distribution()), mask));
      }
    });
  }
  return result;
}

#define INSTANTIATE(T) template Variable<T> dropout(const Variable<T>&, double, const RandomStream&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
