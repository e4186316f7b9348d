#include "kernels/dots.hpp"

#include <algorithm>

#include "base/element_types.hpp"
#include "kernels/cpu/multiversion.hpp"
#include "kernels/cpu/widths.hpp"

namespace tartan::kernels {
namespace {

constexpr Index lanes = 16;

template <class T>
TARTAN_INLINE T dot(const T* x, const T* y, Index columns) {
  T sums[lanes] = {};
  const Index whole = columns - columns % lanes;
  for (Index c = 0; c < whole; c += lanes) {
    for (Index l = 0; l < lanes; ++l) sums[l] += x[c + l] * y[c + l];
  }
  for (Index l = 0; l < columns - whole; ++l) sums[l] += x[whole + l] * y[whole + l];
  for (Index width = lanes / 2; width > 0; width /= 2) {
    for (Index l = 0; l < width; ++l) sums[l] += sums[l + width];
  }
  return sums[0];
}

template <class T>
TARTAN_INLINE void dots(Matrix<const T> a, Matrix<const T> b, T* out) {
  with_width(
      a.columns, [&](auto columns) __attribute__((always_inline)) {
        for (Index i = 0, r = 0; i < a.rows; ++i) {
          for (const Index end = b.rows / a.rows * (i + 1); r < end; ++r) out[r] = dot<T>(a.row(i), b.row(r), columns);
        }
      });
}

template <class T>
TARTAN_INLINE void backward(Matrix<const T> a, Matrix<const T> b, const T* g, Matrix<T> grad_a, Matrix<T> grad_b) {
  with_width(
      a.columns, [&](auto columns) __attribute__((always_inline)) {
        for (Index i = 0, r = 0; i < a.rows; ++i) {
          T* __restrict sum = grad_a.row(i);
          const T* __restrict left = a.row(i);
          std::fill_n(sum, Index{columns}, static_cast<T>(-0.0));
          for (const Index end = b.rows / a.rows * (i + 1); r < end; ++r) {
            const T* __restrict right = b.row(r);
            T* __restrict product = grad_b.row(r);
            const T factor = g[r];
            for (Index c = 0; c < columns; ++c) {
              sum[c] += factor * right[c];
              product[c] = factor * left[c];
            }
          }
        }
      });
}

#define TARTAN_DEFINE(T)                                                                               \
  TARTAN_MULTIVERSION void compute(Matrix<const T> a, Matrix<const T> b, T* out) { dots(a, b, out); }  \
  TARTAN_MULTIVERSION void compute(Matrix<const T> a, Matrix<const T> b, const T* g, Matrix<T> grad_a, \
                                   Matrix<T> grad_b) {                                                 \
    backward(a, b, g, grad_a, grad_b);                                                                 \
  }
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_DEFINE)
#undef TARTAN_DEFINE

}  // namespace

template <class T>
void row_dots(Cpu, Matrix<const T> a, Matrix<const T> b, T* out) {
  compute(a, b, out);
}

template <class T>
void row_dots_backward(Cpu, Matrix<const T> a, Matrix<const T> b, const T* g, Matrix<T> grad_a, Matrix<T> grad_b) {
  compute(a, b, g, grad_a, grad_b);
}

#define TARTAN_INSTANTIATE(T)                                        \
  template void row_dots(Cpu, Matrix<const T>, Matrix<const T>, T*); \
  template void row_dots_backward(Cpu, Matrix<const T>, Matrix<const T>, const T*, Matrix<T>, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
