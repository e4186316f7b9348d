#include "kernels/activations.hpp"

#include "base/element_types.hpp"

namespace tartan::kernels {

template <class T>
void relu(Cpu, const T* x, Index n, T* out) {
  for (Index i = 0; i < n; ++i) out[i] = static_cast<Accumulator<T>>(x[i]) <= 0 ? T{} : x[i];
}

template <class T>
void relu_backward(Cpu, const T* y, const T* g, Index n, T* out) {
  for (Index i = 0; i < n; ++i) out[i] = static_cast<Accumulator<T>>(y[i]) <= 0 ? T{} : g[i];
}

#define INSTANTIATE(T)                          \
  template void relu(Cpu, const T*, Index, T*); \
  template void relu_backward(Cpu, const T*, const T*, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
