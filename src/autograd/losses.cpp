#include <tartan/autograd/operations.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/losses.hpp"

namespace tartan {

template <class T>
Variable<T> binary_cross_entropy_with_logits(const Variable<T>& x, const DistributedTensor<T>& y,
                                             LossReduction reduction) {
  rules::refuse_partial("binary cross-entropy", x.distribution());
  rules::require_alike("binary cross-entropy", "y", x.distribution(), y.distribution());
  require(reduction != LossReduction::none, "binary cross-entropy is reduced to one number: mean or sum");
  const double factor = reduction == LossReduction::sum ? 1.0 : 1.0 / static_cast<double>(x.shape().elements());
  auto value = rules::computed<T>(rules::summed(x.distribution()), [&](auto where, Tensor<T>& out) {
    const auto& logits = x.value().local();
    if (out.elements() == 0) return;
    kernels::binary_cross_entropy_sum(where, logits.data(), y.local().data(), logits.elements(), factor, out.data());
  });
  auto result = Variable<T>::result(std::move(value), records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record(
        "binary cross-entropy", [x, result, factor, saved = Saved(x.value()), labels = Saved(y)] {
          const auto g = result.take_contributions();
          if (!g) return;
          const auto& inputs = saved.get().local();
          const auto& targets = labels.get().local();
          x.contribute(rules::computed<T>(
              rules::input_gradient(x.distribution(), result.distribution()), [&](auto where, Tensor<T>& out) {
                kernels::binary_cross_entropy_backward(where, inputs.data(), targets.data(),
                                                       static_cast<Accumulator<T>>(factor), g->local().data(),
                                                       out.elements(), out.data());
              }));
        });
  }
  return result;
}

#define INSTANTIATE(T) \
  template Variable<T> binary_cross_entropy_with_logits(const Variable<T>&, const DistributedTensor<T>&, LossReduction);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
