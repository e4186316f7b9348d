#include <tartan/nn/linear.hpp>

#include <algorithm>
#include <functional>
#include <utility>

#include <tartan/autograd/tape.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/matmul.hpp"
#include "nn/linear_placement.hpp"

namespace tartan::functional {
namespace {

/// True where this rank has the first term.
bool has_first_term(const Distribution& d) {
  const int position = d.topology().rank();
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    if (position >= 0 && d.placement(axis).is_partial() && d.grid().coordinate(position, axis) != 0) return false;
  }
  return true;
}

/// out = gᵀ·x, by blocks of `block` rows of `out`, with a call of `progress` after each.
template <class Where, class T>
void transposed_product(Where where, kernels::Matrix<const T> g, kernels::Matrix<const T> x, kernels::Matrix<T> out,
                        Index block, const std::function<void()>& progress) {
  for (Index begin = 0; begin < out.rows; begin += block) {
    const Index end = std::min(out.rows, begin + block);
    kernels::matmul_transposed_left(where, kernels::Matrix<const T>{g.data + begin, g.rows, end - begin, g.stride}, x,
                                    out.part(begin, end));
    progress();
  }
}

/// Whether terms of a sum lie on several ranks.
bool is_summed(const Distribution& d) {
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    if (d.placement(axis).is_partial() && d.grid().extent(axis) > 1) return true;
  }
  return false;
}

/// A local tensor as a matrix: the dimensions before `dim` are its rows, the others its columns.
template <class T>
kernels::Matrix<const T> matrix_of(const Tensor<T>& local, int dim) {
  const Index columns = local.shape().elements(dim, local.shape().dimensions());
  return {local.data(), local.shape().elements(0, dim), columns, columns};
}
template <class T>
kernels::Matrix<T> matrix_of(Tensor<T>& local, int dim) {
  const auto same = matrix_of(std::as_const(local), dim);
  return {local.data(), same.rows, same.columns, same.stride};
}

}  // namespace

template <class T>
Variable<T> linear(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias, LinearOptions options) {
  const auto placed =
      linear_rule::place(x.distribution(), weight.distribution(), bias.is_null() ? nullptr : &bias.distribution());
  const int row = x.shape().dimensions() - 1;
  const int column = weight.shape().dimensions() - 1;
  auto value = rules::computed<T>(placed.result, [&](auto where, Tensor<T>& out) {
    kernels::matmul_transposed_right(where, matrix_of(x.value().local(), row),
                                     matrix_of(weight.value().local(), column), matrix_of(out, row));
    if (!bias.is_null() && has_first_term(placed.result)) {
      kernels::add_to_rows(where, bias.value().local().data(), matrix_of(out, row));
    }
  });
  auto result = Variable<T>::result(std::move(value), records(x, weight, bias));
  if (result.requires_gradient()) {
    GradientTape::active()->record("linear", [x, weight, bias, result, placed, row, column, options,
                                              input = Saved(x.value()), matrix = Saved(weight.value())] {
      const auto g = result.take_contributions();
      if (!g) return;
      const auto upstream = matrix_of(g->local(), row);
      if (x.requires_gradient()) {
        const auto& weights = matrix.get();
        x.contribute(rules::computed<T>(placed.to_x, [&](auto where, Tensor<T>& out) {
          kernels::matmul(where, upstream, matrix_of(weights.local(), column), matrix_of(out, row));
        }));
      }
      if (weight.requires_gradient()) {
        const bool later = options.overlap && x.requires_gradient() && is_summed(placed.to_x) &&
                           placed.to_x.topology().device().is_cpu();
        DistributedTensor<T> to_weight(placed.to_weight);
        auto fill = [=, g = *g, x = input.get()](const std::function<void()>& progress) mutable {
          to_weight.modify([&](Tensor<T>& out) {
            kernels::on(out.device(), [&](auto where) {
              transposed_product(where, matrix_of(g.local(), row), matrix_of(x.local(), row), matrix_of(out, column),
                                 later ? 128 : std::max<Index>(1, out.elements()), progress);
            });
          });
        };
        if (later) {
          GradientTape::replaying()->put_off(placed.to_weight, std::move(fill));
        } else {
          fill([] {});
        }
        weight.contribute(to_weight);
      }
      if (bias.requires_gradient()) {
        bias.contribute(rules::computed<T>(
            placed.to_bias, [&](auto where, Tensor<T>& out) { kernels::column_sums(where, upstream, out.data()); }));
      }
    });
  }
  return result;
}

#define INSTANTIATE(T) \
  template Variable<T> linear(const Variable<T>&, const Variable<T>&, const Variable<T>&, LinearOptions);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
