#include <tartan/autograd/softmax.hpp>

#include <tartan/autograd/tape.hpp>
#include <tartan/distributed/combine.hpp>

#include "autograd/classes.hpp"
#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "kernels/softmax.hpp"
#include "tensor/rows_of.hpp"

namespace tartan {
namespace {

template <class T>
Variable<T> by_rows(const char* name, bool logarithm, const Variable<T>& x) {
  const auto& d = x.distribution();
  rules::refuse_partial(name, d);
  const int last = d.shape().dimensions() - 1;
  require(last >= 0, "{} takes rows, not a number placed as {}", name, d);
  const auto axes = d.axes_of(last);
  const auto value = [&] {
    if (axes.empty()) {
      return rules::computed<T>(d, [&](auto where, Tensor<T>& out) {
        const auto from = rows_of(x.value().local());
        logarithm ? kernels::log_softmax_rows(where, from, rows_of(out))
                  : kernels::softmax_rows(where, from, {}, rows_of(out));
      });
    }
    const auto layout = classes::layout_of(name, d);
    const auto statistics =
        classes::combined(classes::shard_statistics<T>(x.value(), layout, nullptr, 2), layout, false);
    return rules::computed<T>(d, [&](auto where, Tensor<T>& out) {
      if (out.elements() == 0) return;  // a rank outside the grid has a row of a vector, but no statistics of it
      kernels::softmax_of_shard(where, rows_of(x.value().local()), statistics.local().data(), logarithm, rows_of(out));
    });
  }();
  auto result = Variable<T>::result(value, records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record(name, [x, result, logarithm, axes, saved = Saved(value)] {
      const auto g = result.take_contributions();
      if (!g) return;
      const auto y = rows_of(saved.get().local());
      const auto upstream = rows_of(g->local());
      Tensor<double> sums(Shape{axes.empty() ? 0 : y.rows}, g->local().device());
      if (!axes.empty()) {
        kernels::on(sums.device(),
                    [&](auto where) { kernels::softmax_shard_sums(where, y, upstream, logarithm, sums.data()); });
        combine_along(x.distribution().topology(), axes, sums);
      }
      x.contribute(rules::computed<T>(
          rules::input_gradient(x.distribution(), result.distribution()), [&](auto where, Tensor<T>& out) {
            if (!axes.empty()) {
              kernels::softmax_of_shard_backward(where, y, upstream, sums.data(), logarithm, rows_of(out));
            } else if (logarithm) {
              kernels::log_softmax_rows_backward(where, y, upstream, rows_of(out));
            } else {
              kernels::softmax_rows_backward(where, y, upstream, {}, rows_of(out));
            }
          }));
    });
  }
  return result;
}

}  // namespace

template <class T>
Variable<T> softmax(const Variable<T>& x) {
  return by_rows("softmax", false, x);
}

template <class T>
Variable<T> log_softmax(const Variable<T>& x) {
  return by_rows("log_softmax", true, x);
}

#define INSTANTIATE(T)                              \
  template Variable<T> softmax(const Variable<T>&); \
  template Variable<T> log_softmax(const Variable<T>&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
