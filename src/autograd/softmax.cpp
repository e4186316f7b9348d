#include <tartan/autograd/softmax.hpp>

#include <tartan/autograd/tape.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "kernels/softmax.hpp"
#include "tensor/rows_of.hpp"

namespace tartan {
namespace {

/// compute(where, rows of x, rows of the result) forward, differentiate(where, rows of the result, rows of its
/// gradient, rows of x's gradient) backward.
template <class T, class Compute, class Differentiate>
Variable<T> by_rows(const char* name, const Variable<T>& x, Compute compute, Differentiate differentiate) {
  const auto& d = x.distribution();
  rules::refuse_partial(name, d);
  const int last = d.shape().dimensions() - 1;
  require(last >= 0, "{} takes rows, not a number placed as {}", name, d);
  for (const auto& placement : d.placements()) {
    require(!placement.is_shard(last), "{} takes rows that are whole on a rank, not {}; redistribute them first", name,
            d);
  }
  const auto value = rules::computed<T>(
      d, [&](auto where, Tensor<T>& out) { compute(where, rows_of(x.value().local()), rows_of(out)); });
  auto result = Variable<T>::result(value, records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record(name, [x, result, differentiate, y = Saved(value)] {
      const auto g = result.take_contributions();
      if (!g) return;
      x.contribute(rules::computed<T>(
          rules::input_gradient(x.distribution(), result.distribution()), [&](auto where, Tensor<T>& out) {
            differentiate(where, rows_of(y.get().local()), rows_of(g->local()), rows_of(out));
          }));
    });
  }
  return result;
}

}  // namespace

template <class T>
Variable<T> softmax(const Variable<T>& x) {
  return by_rows(
      "softmax", x, [](auto where, auto from, auto out) { kernels::softmax_rows(where, from, {}, out); },
      [](auto where, auto y, auto g, auto out) { kernels::softmax_rows_backward(where, y, g, {}, out); });
}

template <class T>
Variable<T> log_softmax(const Variable<T>& x) {
  return by_rows(
      "log_softmax", x, [](auto where, auto from, auto out) { kernels::log_softmax_rows(where, from, out); },
      [](auto where, auto y, auto g, auto out) { kernels::log_softmax_rows_backward(where, y, g, out); });
}

#define INSTANTIATE(T)                              \
  template Variable<T> softmax(const Variable<T>&); \
  template Variable<T> log_softmax(const Variable<T>&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
