#include "kernels/matmul.hpp"

#include <Eigen/Core>
#include <type_traits>
#include <vector>

#include "base/element_types.hpp"

namespace tartan::kernels {
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

}  // namespace

template <class T>
void matmul(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  view(out).noalias() = view(a) * view(b);
}

template <class T>
void matmul_transposed_right(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  view(out).noalias() = view(a) * view(b).transpose();
}

template <class T>
void matmul_transposed_left(Cpu, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  view(out).noalias() = view(a).transpose() * view(b);
}

template <class T>
void add_to_rows(Cpu, const T* row, Matrix<T> out) {
  for (Index i = 0; i < out.rows; ++i) {
    for (Index c = 0; c < out.columns; ++c) out.row(i)[c] += row[c];
  }
}

template <class T>
void column_sums(Cpu, Matrix<const T> a, T* out) {
  std::vector<double> sums(static_cast<std::size_t>(a.columns));
  for (Index i = 0; i < a.rows; ++i) {
    for (std::size_t c = 0; c < sums.size(); ++c) sums[c] += static_cast<double>(a.row(i)[c]);
  }
  for (std::size_t c = 0; c < sums.size(); ++c) out[c] = static_cast<T>(sums[c]);
}

#define INSTANTIATE(T)                                                                     \
  template void matmul(Cpu, Matrix<const T>, Matrix<const T>, Matrix<T>);                  \
  template void matmul_transposed_right(Cpu, Matrix<const T>, Matrix<const T>, Matrix<T>); \
  template void matmul_transposed_left(Cpu, Matrix<const T>, Matrix<const T>, Matrix<T>);  \
  template void add_to_rows(Cpu, const T*, Matrix<T>);                                     \
  template void column_sums(Cpu, Matrix<const T>, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
