#include "kernels/smooth_activations.hpp"

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/multiversion.hpp"

namespace tartan::kernels {
namespace {

#define TARTAN_DEFINE_FUNCTION(T, F)                                                            \
  TARTAN_MULTIVERSION void values(F, const T* x, Index n, T* out) {                             \
    for (Index i = 0; i < n; ++i) out[i] = static_cast<T>(F::value(static_cast<double>(x[i]))); \
  }                                                                                             \
  TARTAN_MULTIVERSION void gradients(F, const T* x, const T* g, Index n, T* out) {              \
    for (Index i = 0; i < n; ++i) {                                                             \
      out[i] = static_cast<T>(F::slope(static_cast<double>(x[i])) * static_cast<double>(g[i])); \
    }                                                                                           \
  }
#define TARTAN_DEFINE(T) \
  TARTAN_DEFINE_FUNCTION(T, Gelu) TARTAN_DEFINE_FUNCTION(T, GeluTanh) TARTAN_DEFINE_FUNCTION(T, Silu)
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_DEFINE)
#undef TARTAN_DEFINE
#undef TARTAN_DEFINE_FUNCTION

}  // namespace

template <class T>
void activate(Cpu, Activation f, const T* x, Index n, T* out) {
  with_activation(f, [=](auto function) {
    parallel(n, 2 * sizeof(T), [=](Index begin, Index end) { values(function, x + begin, end - begin, out + begin); });
  });
}

template <class T>
void activate_backward(Cpu, Activation f, const T* x, const T* g, Index n, T* out) {
  with_activation(f, [=](auto function) {
    parallel(n, 3 * sizeof(T),
             [=](Index begin, Index end) { gradients(function, x + begin, g + begin, end - begin, out + begin); });
  });
}

#define INSTANTIATE(T)                                          \
  template void activate(Cpu, Activation, const T*, Index, T*); \
  template void activate_backward(Cpu, Activation, const T*, const T*, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
