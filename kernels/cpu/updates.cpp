#include "kernels/updates.hpp"

#include <cmath>

#include "base/element_types.hpp"

namespace tartan::kernels {

template <class T>
void sgd_update(Cpu, const Index* rows, Matrix<const T> gradient, T rate, Matrix<T> weight) {
  for (Index u = 0; u < gradient.rows; ++u) {
    const T* g = gradient.row(u);
    T* w = weight.row(rows != nullptr ? rows[u] : u);
    for (Index c = 0; c < gradient.columns; ++c) w[c] -= rate * g[c];
  }
}

template <class T>
void adagrad_update(Cpu, const Index* rows, Matrix<const T> gradient, T rate, T epsilon, Matrix<T> sum,
                    Matrix<T> weight) {
  for (Index u = 0; u < gradient.rows; ++u) {
    const T* g = gradient.row(u);
    const Index row = rows != nullptr ? rows[u] : u;
    T* s = sum.row(row);
    T* w = weight.row(row);
    for (Index c = 0; c < gradient.columns; ++c) {
      s[c] += g[c] * g[c];
      w[c] -= rate * g[c] / (std::sqrt(s[c]) + epsilon);
    }
  }
}

#define INSTANTIATE(T)                                                        \
  template void sgd_update(Cpu, const Index*, Matrix<const T>, T, Matrix<T>); \
  template void adagrad_update(Cpu, const Index*, Matrix<const T>, T, T, Matrix<T>, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
