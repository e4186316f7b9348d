#pragma once

#include "kernels/view.hpp"

/// Matrix products, and what goes with them in a linear layer. On the CPU they run on the calling thread; on a CUDA
/// device cuBLAS computes them, in float for float (never TF32) and for the half types, rounded once. Sums of products
/// are rounded in an order that depends on the extents and the device: no promise of bits. An empty sum is 0. Outputs
/// must not overlap inputs.
namespace tartan::kernels {

/// out = a·b
template <class T>
void matmul(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out);
template <class T>
void matmul(Cuda, Matrix<const T> a, Matrix<const T> b, Matrix<T> out);
/// out = a·bᵀ
template <class T>
void matmul_transposed_right(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out);
template <class T>
void matmul_transposed_right(Cuda, Matrix<const T> a, Matrix<const T> b, Matrix<T> out);
/// out = aᵀ·b
template <class T>
void matmul_transposed_left(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out);
template <class T>
void matmul_transposed_left(Cuda, Matrix<const T> a, Matrix<const T> b, Matrix<T> out);

/// Adds `row` to each row of `out`. Both devices give the same bits.
template <class T>
void add_to_rows(Cpu, const T* row, Matrix<T> out);
template <class T>
void add_to_rows(Cuda, const T* row, Matrix<T> out);
/// out[c] is the sum of column c in double, rounded once: groups of 32 rows are added to 0.0 in order, the groups' sums
/// in groups of 32 likewise, until one remains. Both devices give the same bits.
template <class T>
void column_sums(Cpu, Matrix<const T> a, T* out);
template <class T>
void column_sums(Cuda, Matrix<const T> a, T* out);

}  // namespace tartan::kernels
