#pragma once

#include <algorithm>

#include <tartan/autograd/variable.hpp>

#include "kernels/view.hpp"

namespace tartan {

/// A parameter's gradient as an update kernel takes it: matrices of the rows of this rank's block. A dense gradient
/// that need not be told apart by rows is one long row.
template <class T>
class GradientRows {
 public:
  enum class Dense { one_row, by_rows };

  explicit GradientRows(const Variable<T>& parameter, Dense dense = Dense::one_row) {
    if (const auto* sparse = std::get_if<RowSparse<T>>(&parameter.gradient())) {
      const Index first = parameter.value().box()[0].begin;
      Tensor<Index> rows(Shape{std::ssize(sparse->rows)});
      std::ranges::transform(sparse->rows, rows.data(), [=](Index row) { return row - first; });
      rows_ = rows.to(sparse->values.device());
      is_sparse_ = true;
      const Index columns = sparse->values.shape()[1];
      gradient_ = {sparse->values.data(), sparse->values.shape()[0], columns, columns};
      return;
    }
    const auto& local = std::get<DistributedTensor<T>>(parameter.gradient()).local();
    const Index rows = dense == Dense::one_row ? 1 : local.shape()[0];
    const Index columns = rows == 0 ? 0 : local.elements() / rows;
    gradient_ = {local.data(), rows, columns, columns};
  }

  bool is_sparse() const { return is_sparse_; }
  const kernels::Matrix<const T>& gradient() const { return gradient_; }
  /// The rows of the block that the gradient's rows belong to, where the gradient lies; null where they are all.
  const Index* rows() const { return is_sparse_ ? rows_.data() : nullptr; }
  /// A tensor laid out like the parameter, cut into such rows.
  template <class U>
  kernels::Matrix<U> of(Tensor<U>& tensor) const {
    const Index columns = gradient_.columns;
    return {tensor.data(), columns == 0 ? 0 : tensor.elements() / columns, columns, columns};
  }

 private:
  Tensor<Index> rows_;
  kernels::Matrix<const T> gradient_{};
  bool is_sparse_ = false;
};

}  // namespace tartan
