#include "kernels/activations.hpp"

#include "base/element_types.hpp"
#include "kernels/cuda/map.hpp"

namespace tartan::kernels {
namespace {

template <class T>
struct Relu {
  __device__ T operator()(T x, T) const { return static_cast<Accumulator<T>>(x) <= 0 ? T{} : x; }
};

template <class T>
struct ReluBackward {
  __device__ T operator()(T y, T g) const { return static_cast<Accumulator<T>>(y) <= 0 ? T{} : g; }
};

}  // namespace

template <class T>
void relu(Cuda cuda, const T* x, Index n, T* out) {
  map<1, T>(cuda.stream, Relu<T>{}, n, x, nullptr, out);
}

template <class T>
void relu_backward(Cuda cuda, const T* y, const T* g, Index n, T* out) {
  map<2, T>(cuda.stream, ReluBackward<T>{}, n, y, g, out);
}

#define INSTANTIATE(T)                           \
  template void relu(Cuda, const T*, Index, T*); \
  template void relu_backward(Cuda, const T*, const T*, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
