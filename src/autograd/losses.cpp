#include <tartan/autograd/operations.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/losses.hpp"

namespace tartan {
namespace {

constexpr kernels::Cpu cpu;

}  // namespace

template <class T>
Variable<T> binary_cross_entropy_with_logits(const Variable<T>& x, const DistributedTensor<T>& y,
                                             LossReduction reduction) {
  require(!x.distribution().any(Placement::Kind::partial),
          "binary cross-entropy is not linear in its logits and does not take them as {}; redistribute them first",
          x.distribution().to_string());
  require(x.distribution() == y.distribution(),
          "binary cross-entropy takes logits and labels placed alike, not {} and {}", x.distribution().to_string(),
          y.distribution().to_string());
  const double factor = reduction == LossReduction::sum ? 1.0 : 1.0 / static_cast<double>(x.shape().elements());
  const auto& logits = x.value().local();
  const double loss =
      kernels::binary_cross_entropy_sum(cpu, logits.data(), y.local().data(), logits.elements()) * factor;
  auto result = Variable<T>::result(rules::scalar<T>(rules::summed(x.distribution()), loss), records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record(
        "binary cross-entropy", [x, result, factor, saved = Saved(x.value()), labels = Saved(y)] {
          const auto g = result.take_contributions();
          if (!g) return;
          const auto& inputs = saved.get().local();
          const auto& targets = labels.get().local();
          DistributedTensor<T> gradient(rules::input_gradient(x.distribution(), result.distribution()));
          gradient.modify([&](Tensor<T>& out) {
            if (out.elements() == 0) return;
            kernels::binary_cross_entropy_backward(cpu, inputs.data(), targets.data(),
                                                   static_cast<T>(factor) * g->local()[0], out.elements(), out.data());
          });
          x.contribute(std::move(gradient));
        });
  }
  return result;
}

#define INSTANTIATE(T) \
  template Variable<T> binary_cross_entropy_with_logits(const Variable<T>&, const DistributedTensor<T>&, LossReduction);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
