#include "kernels/cpu/gemm_sets.hpp"

namespace tartan::kernels {

const char* gemm_instructions() { return "baseline"; }

template <class T>
void gemm(Factor<T> a, Factor<T> b, Matrix<T> out) {
  baseline::gemm(a, b, out);
}

template void gemm(Factor<float>, Factor<float>, Matrix<float>);
template void gemm(Factor<double>, Factor<double>, Matrix<double>);

}  // namespace tartan::kernels
