#include "kernels/activations.hpp"

#include "base/element_types.hpp"

namespace tartan::kernels {

template <class T>
void relu(Cpu, const T* x, Index n, T* out) {
  for (Index i = 0; i < n; ++i) out[i] = x[i] <= 0 ? 0 : x[i];
}

template <class T>
void relu_backward(Cpu, const T* y, const T* g, Index n, T* out) {
  for (Index i = 0; i < n; ++i) out[i] = y[i] <= 0 ? 0 : g[i];
}

#define INSTANTIATE(T)                          \
  template void relu(Cpu, const T*, Index, T*); \
  template void relu_backward(Cpu, const T*, const T*, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
