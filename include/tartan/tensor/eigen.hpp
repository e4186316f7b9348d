#pragma once

// For programs that use Eigen: not part of <tartan/tartan.hpp>, and Eigen is theirs to find and link (Eigen3::Eigen).

#include <Eigen/Core>
#include <string>
#include <type_traits>

#include <tartan/tensor/tensor.hpp>

namespace tartan {

/// Eigen's name of an element type: its own bfloat16 and half, which have the same 16 bits, otherwise T.
template <class T>
using EigenScalar = std::conditional_t<std::is_same_v<T, bfloat16>, Eigen::bfloat16,
                                       std::conditional_t<std::is_same_v<T, half>, Eigen::half, T>>;

template <class T>
using RowMajorMatrix = Eigen::Matrix<EigenScalar<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace detail {

template <class T>
EigenScalar<T>* eigen_data(T* data) {
  return reinterpret_cast<EigenScalar<T>*>(data);
}
template <class T>
const EigenScalar<T>* eigen_data(const T* data) {
  return reinterpret_cast<const EigenScalar<T>*>(data);
}

inline void require_dimensions(const Shape& shape, int dimensions) {
  if (shape.dimensions() != dimensions) {
    throw Error("an Eigen map of " + std::to_string(dimensions) + " dimensions was asked of the shape " +
                shape.to_string());
  }
}

}  // namespace detail

/// A 1-d tensor as an Eigen vector on the same memory; throws Error where it is not 1-d.
template <class T>
Eigen::Map<Eigen::VectorX<EigenScalar<T>>> vector_map(Tensor<T>& tensor) {
  detail::require_dimensions(tensor.shape(), 1);
  return {detail::eigen_data(tensor.data()), tensor.shape()[0]};
}
template <class T>
Eigen::Map<const Eigen::VectorX<EigenScalar<T>>> vector_map(const Tensor<T>& tensor) {
  detail::require_dimensions(tensor.shape(), 1);
  return {detail::eigen_data(tensor.data()), tensor.shape()[0]};
}

/// A 2-d tensor as a row-major Eigen matrix on the same memory; throws Error where it is not 2-d.
template <class T>
Eigen::Map<RowMajorMatrix<T>> matrix_map(Tensor<T>& tensor) {
  detail::require_dimensions(tensor.shape(), 2);
  return {detail::eigen_data(tensor.data()), tensor.shape()[0], tensor.shape()[1]};
}
template <class T>
Eigen::Map<const RowMajorMatrix<T>> matrix_map(const Tensor<T>& tensor) {
  detail::require_dimensions(tensor.shape(), 2);
  return {detail::eigen_data(tensor.data()), tensor.shape()[0], tensor.shape()[1]};
}

}  // namespace tartan
