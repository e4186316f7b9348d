#include "kernels/cpu/gemm_sets.hpp"

namespace tartan::kernels {
namespace {

enum class Set { baseline, avx2, avx512 };

Set best() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Set::baseline;
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  return wide ? Set::avx512 : Set::avx2;
}

Set here() {
  static const Set set = best();
  return set;
}

}  // namespace

const char* gemm_instructions() { return here() == Set::avx512 ? "avx512" : here() == Set::avx2 ? "avx2" : "baseline"; }

template <class T>
void gemm(Factor<T> a, Factor<T> b, Matrix<T> out) {
  switch (here()) {
    case Set::avx512:
      return avx512::gemm(a, b, out);
    case Set::avx2:
      return avx2::gemm(a, b, out);
    case Set::baseline:
      return baseline::gemm(a, b, out);
  }
}

template void gemm(Factor<float>, Factor<float>, Matrix<float>);
template void gemm(Factor<double>, Factor<double>, Matrix<double>);

}  // namespace tartan::kernels
