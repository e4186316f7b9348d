#include <tartan/nn/cross_entropy.hpp>

#include "autograd/classes.hpp"
#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "tensor/rows_of.hpp"

/// Functions of rows of logits, one number for each, from statistics that shards combine.
namespace tartan::functional {
namespace {

/// forward(where, statistics, rows, out) writes the results of a rank's rows,
/// backward(where, logits, statistics, upstream, out) the gradient of its logits.
template <class T, class Forward, class Backward>
Variable<T> function_of_rows(const char* name, const Variable<T>& x, int fields, Forward forward, Backward backward) {
  const auto layout = classes::layout_of(name, x.distribution());
  const auto statistics =
      classes::combined(classes::shard_statistics<T>(x.value(), layout, nullptr, fields), layout, false);
  auto result = Variable<T>::result(
      rules::computed<T>(
          layout.rows,
          [&](auto where, Tensor<T>& out) { forward(where, statistics.local().data(), out.elements(), out.data()); }),
      records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record(name, [x, result, statistics, backward, saved = Saved(x.value())] {
      const auto g = result.take_contributions();
      if (!g) return;
      const auto& at = saved.get().local();
      x.contribute(rules::computed<T>(x.distribution(), [&](auto where, Tensor<T>& out) {
        if (out.elements() == 0) return;
        backward(where, rows_of(at), statistics.local().data(), g->local().data(), rows_of(out));
      }));
    });
  }
  return result;
}

}  // namespace

template <class T>
Variable<T> log_sum_exp(const Variable<T>& x) {
  constexpr int fields = 2;
  return function_of_rows(
      "log_sum_exp", x, fields,
      [](auto where, const double* statistics, Index rows, T* out) {
        kernels::log_sum_exp(where, statistics, fields, rows, out);
      },
      [](auto where, kernels::Matrix<const T> logits, const double* statistics, const T* upstream,
         kernels::Matrix<T> out) { kernels::log_sum_exp_backward(where, logits, statistics, fields, upstream, out); });
}

template <class T>
Variable<T> entropy(const Variable<T>& logits) {
  return function_of_rows(
      "entropy", logits, 4,
      [](auto where, const double* statistics, Index rows, T* out) { kernels::entropy(where, statistics, rows, out); },
      [](auto where, kernels::Matrix<const T> x, const double* statistics, const T* upstream, kernels::Matrix<T> out) {
        kernels::entropy_backward(where, x, statistics, upstream, out);
      });
}

#define INSTANTIATE(T)                                  \
  template Variable<T> log_sum_exp(const Variable<T>&); \
  template Variable<T> entropy(const Variable<T>&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
