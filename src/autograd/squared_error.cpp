#include <tartan/autograd/losses.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "kernels/squared_error.hpp"

namespace tartan {

template <class T>
Variable<T> mean_squared_error(const Variable<T>& x, const DistributedTensor<T>& y, LossReduction reduction) {
  rules::refuse_partial("the squared error", x.distribution());
  rules::require_alike("the squared error", "y", x.distribution(), y.distribution());
  require(reduction != LossReduction::none, "the squared error is reduced to one number: mean or sum");
  const double factor = reduction == LossReduction::sum ? 1.0 : 1.0 / static_cast<double>(x.shape().elements());
  auto value = rules::computed<T>(rules::summed(x.distribution()), [&](auto where, Tensor<T>& out) {
    const auto& numbers = x.value().local();
    if (out.elements() == 0) return;
    kernels::squared_error_sum(where, numbers.data(), y.local().data(), numbers.elements(), factor, out.data());
  });
  auto result = Variable<T>::result(std::move(value), records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record(
        "the squared error", [x, result, factor, saved = Saved(x.value()), targets = Saved(y)] {
          const auto g = result.take_contributions();
          if (!g) return;
          const auto& numbers = saved.get().local();
          const auto& wanted = targets.get().local();
          x.contribute(rules::computed<T>(
              rules::input_gradient(x.distribution(), result.distribution()), [&](auto where, Tensor<T>& out) {
                kernels::squared_error_backward(where, numbers.data(), wanted.data(), factor, g->local().data(),
                                                out.elements(), out.data());
              }));
        });
  }
  return result;
}

#define INSTANTIATE(T) \
  template Variable<T> mean_squared_error(const Variable<T>&, const DistributedTensor<T>&, LossReduction);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
