#pragma once

#include <utility>

#include <tartan/tensor/tensor.hpp>

#include "kernels/view.hpp"

namespace tartan {

/// A local tensor of at least one dimension as the rows of its last one.
template <class T>
kernels::Matrix<const T> rows_of(const Tensor<T>& local) {
  const int last = local.shape().dimensions() - 1;
  const Index columns = local.shape()[last];
  return {local.data(), local.shape().elements(0, last), columns, columns};
}
template <class T>
kernels::Matrix<T> rows_of(Tensor<T>& local) {
  const auto rows = rows_of(std::as_const(local));
  return {local.data(), rows.rows, rows.columns, rows.stride};
}

}  // namespace tartan
