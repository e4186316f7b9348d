#include <tartan/autograd/activations.hpp>

#include <tartan/autograd/tape.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/activations.hpp"

namespace tartan {
namespace {

using kernels::Activation;
using rules::computed;
using rules::input_gradient;

template <class T>
Variable<T> activated(const char* name, Activation f, const Variable<T>& x) {
  rules::refuse_partial(name, x.distribution());
  auto result = Variable<T>::result(computed<T>(x.distribution(),
                                                [&](auto where, Tensor<T>& out) {
                                                  kernels::activate(where, f, x.value().local().data(), out.elements(),
                                                                    out.data());
                                                }),
                                    records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record(name, [f, x, result, saved = Saved(x.value())] {
      const auto g = result.take_contributions();
      if (!g) return;
      const auto& at = saved.get().local();
      x.contribute(
          computed<T>(input_gradient(x.distribution(), result.distribution()), [&](auto where, Tensor<T>& out) {
            kernels::activate_backward(where, f, at.data(), g->local().data(), out.elements(), out.data());
          }));
    });
  }
  return result;
}

}  // namespace

template <class T>
Variable<T> relu(const Variable<T>& x) {
  rules::refuse_partial("relu", x.distribution());
  const auto value = computed<T>(x.distribution(), [&](auto where, Tensor<T>& out) {
    kernels::relu(where, x.value().local().data(), out.elements(), out.data());
  });
  auto result = Variable<T>::result(value, records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record("relu", [x, result, y = Saved(value)] {
      const auto g = result.take_contributions();
      if (!g) return;
      const auto& at = y.get().local();
      x.contribute(
          computed<T>(input_gradient(x.distribution(), result.distribution()), [&](auto where, Tensor<T>& out) {
            kernels::relu_backward(where, at.data(), g->local().data(), out.elements(), out.data());
          }));
    });
  }
  return result;
}

template <class T>
Variable<T> gelu(const Variable<T>& x, GeluForm form) {
  return activated("gelu", form == GeluForm::exact ? Activation::gelu : Activation::gelu_tanh, x);
}

template <class T>
Variable<T> silu(const Variable<T>& x) {
  return activated("silu", Activation::silu, x);
}

#define INSTANTIATE(T)                                     \
  template Variable<T> relu(const Variable<T>&);           \
  template Variable<T> gelu(const Variable<T>&, GeluForm); \
  template Variable<T> silu(const Variable<T>&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
