// Compiled once for each instruction set (CMakeLists.txt): TARTAN_SET names it, and Eigen, which is of this file alone.

#include <Eigen/Core>
#include <type_traits>

#include "kernels/cpu/gemm_sets.hpp"

namespace tartan::kernels::TARTAN_SET {
namespace {

template <class T>
using Dense = Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using View = Eigen::Map<std::conditional_t<std::is_const_v<T>, const Dense<T>, Dense<T>>, Eigen::Unaligned,
                        Eigen::OuterStride<>>;

template <class T>
View<T> view(Matrix<T> m) {
  return {m.data, m.rows, m.columns, Eigen::OuterStride<>(m.stride)};
}

template <class A, class T>
void multiply(const A& a, Factor<T> b, Matrix<T> out) {
  if (b.transposed) {
    view(out).noalias() = a * view(b.stored).transpose();
  } else {
    view(out).noalias() = a * view(b.stored);
  }
}

}  // namespace

template <class T>
void gemm(Factor<T> a, Factor<T> b, Matrix<T> out) {
  if (a.transposed) {
    multiply(view(a.stored).transpose(), b, out);
  } else {
    multiply(view(a.stored), b, out);
  }
}

template void gemm(Factor<float>, Factor<float>, Matrix<float>);
template void gemm(Factor<double>, Factor<double>, Matrix<double>);

}  // namespace tartan::kernels::TARTAN_SET
