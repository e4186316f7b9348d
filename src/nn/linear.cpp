#include <tartan/nn/linear.hpp>

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
Variable<T> linear(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias) {
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
    GradientTape::active()->record("linear", [x, weight, bias, result, placed, row, column, input = Saved(x.value()),
                                              matrix = Saved(weight.value())] {
      const auto g = result.take_contributions();
      if (!g) return;
      const auto upstream = matrix_of(g->local(), row);
      if (x.requires_gradient()) {
        x.contribute(rules::computed<T>(placed.to_x, [&](auto where, Tensor<T>& out) {
          kernels::matmul(where, upstream, matrix_of(matrix.get().local(), column), matrix_of(out, row));
        }));
      }
      if (weight.requires_gradient()) {
        weight.contribute(rules::computed<T>(placed.to_weight, [&](auto where, Tensor<T>& out) {
          kernels::matmul_transposed_left(where, upstream, matrix_of(input.get().local(), row), matrix_of(out, column));
        }));
      }
      if (bias.requires_gradient()) {
        bias.contribute(rules::computed<T>(
            placed.to_bias, [&](auto where, Tensor<T>& out) { kernels::column_sums(where, upstream, out.data()); }));
      }
    });
  }
  return result;
}

#define INSTANTIATE(T) template Variable<T> linear(const Variable<T>&, const Variable<T>&, const Variable<T>&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
