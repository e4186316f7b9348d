#pragma once

#include "kernels/cpu/gemm.hpp"

/// The copies of gemm(), one for each instruction set. What a copy defines is under names of its own, Eigen's templates
/// too: a linker that merged them could run AVX-512 on a processor that has none.
#define TARTAN_DECLARE_SET(set)                       \
  namespace tartan::kernels::set {                    \
  template <class T>                                  \
  void gemm(Factor<T> a, Factor<T> b, Matrix<T> out); \
  }
TARTAN_DECLARE_SET(baseline)
TARTAN_DECLARE_SET(avx2)
TARTAN_DECLARE_SET(avx512)
#undef TARTAN_DECLARE_SET
