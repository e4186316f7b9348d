#pragma once

#include "kernels/view.hpp"

/// Products of matrices on the calling thread, for float and double, by the widest vectors that this processor has:
/// Eigen's, compiled for several instruction sets (kernels/cpu/gemm_set.cpp). On one processor the same operands give
/// the same bits; on another they may round otherwise.
namespace tartan::kernels {

/// A factor of a product, transposed where said.
template <class T>
struct Factor {
  Matrix<const T> stored;
  bool transposed = false;
};

/// out = a·b. An empty sum is 0. `out` must not overlap the factors.
template <class T>
void gemm(Factor<T> a, Factor<T> b, Matrix<T> out);

/// The name of the instruction set that gemm() uses here: "baseline", "avx2" or "avx512".
const char* gemm_instructions();

}  // namespace tartan::kernels
