#pragma once

#include "kernels/view.hpp"

namespace tartan::kernels {

/// `count` matrices, `distance` elements apart.
template <class T>
struct Batch {
  T* data;
  Index count;
  Index distance;
  Index rows;
  Index columns;
  Index stride;

  constexpr Matrix<T> operator[](Index i) const { return {data + i * distance, rows, columns, stride}; }
};

/// Which factor of a product is transposed.
enum class Transposed { none, left, right };

/// out[i] = a[i]·b[i] for all i, or that added to what `out` holds: as matmul() and its like, which see. T: float,
/// double.
template <class T>
void batched_matmul(Cpu, Batch<const T> a, Batch<const T> b, Transposed transposed, bool accumulate, Batch<T> out);
template <class T>
void batched_matmul(Cuda, Batch<const T> a, Batch<const T> b, Transposed transposed, bool accumulate, Batch<T> out);

}  // namespace tartan::kernels
