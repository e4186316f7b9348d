#pragma once

#include "kernels/view.hpp"

/// Matrix products on the calling thread, and what goes with them in a linear layer. Sums of products are rounded in an
/// order that depends on the extents: no promise of bits. An empty sum is 0. Outputs must not overlap inputs.
namespace tartan::kernels {

/// out = a·b
template <class T>
void matmul(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out);
/// out = a·bᵀ
template <class T>
void matmul_transposed_right(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out);
/// out = aᵀ·b
template <class T>
void matmul_transposed_left(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out);

/// Adds `row` to each row of `out`.
template <class T>
void add_to_rows(Cpu, const T* row, Matrix<T> out);
/// out[c] is the sum of column c over the rows in their order, in double, rounded once.
template <class T>
void column_sums(Cpu, Matrix<const T> a, T* out);

}  // namespace tartan::kernels
