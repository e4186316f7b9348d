#include "kernels/smooth_activations.hpp"

#include "base/element_types.hpp"
#include "kernels/cuda/map.hpp"

namespace tartan::kernels {
namespace {

template <class T, class F>
struct Value {
  __device__ T operator()(T x, T) const { return static_cast<T>(F::value(static_cast<double>(x))); }
};

template <class T, class F>
struct Gradient {
  __device__ T operator()(T x, T g) const {
    return static_cast<T>(F::slope(static_cast<double>(x)) * static_cast<double>(g));
  }
};

}  // namespace

template <class T>
void activate(Cuda cuda, Activation f, const T* x, Index n, T* out) {
  with_activation(f, [&]<class F>(F) { map<1, T>(cuda.stream, Value<T, F>{}, n, x, nullptr, out); });
}

template <class T>
void activate_backward(Cuda cuda, Activation f, const T* x, const T* g, Index n, T* out) {
  with_activation(f, [&]<class F>(F) { map<2, T>(cuda.stream, Gradient<T, F>{}, n, x, g, out); });
}

#define INSTANTIATE(T)                                           \
  template void activate(Cuda, Activation, const T*, Index, T*); \
  template void activate_backward(Cuda, Activation, const T*, const T*, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
