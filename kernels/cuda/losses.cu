#include "kernels/losses.hpp"

#include "base/element_types.hpp"
#include "kernels/cuda/map.hpp"
#include "kernels/cuda/sum_tree.hpp"
#include "kernels/elementary.hpp"

namespace tartan::kernels {
namespace {

template <class T>
struct CrossEntropy {
  const T* x;
  const T* y;
  __device__ double operator()(Index i) const {
    return cross_entropy(static_cast<double>(x[i]), static_cast<double>(y[i]));
  }
};

template <class T>
struct CrossEntropyBackward {
  Accumulator<T> factor;
  const T* upstream;
  __device__ T operator()(T x, T y) const {
    const auto scale = static_cast<double>(factor * static_cast<Accumulator<T>>(*upstream));
    return static_cast<T>(scale * cross_entropy_slope(static_cast<double>(x), static_cast<double>(y)));
  }
};

}  // namespace

template <class T>
void binary_cross_entropy_sum(Cuda cuda, const T* x, const T* y, Index n, double factor, T* out) {
  sum_of_terms(cuda.stream, CrossEntropy<T>{x, y}, n, factor, out);
}

template <class T>
void binary_cross_entropy_backward(Cuda cuda, const T* x, const T* y, Accumulator<T> factor, const T* upstream, Index n,
                                   T* out) {
  map<2, T>(cuda.stream, CrossEntropyBackward<T>{factor, upstream}, n, x, y, out);
}

#define INSTANTIATE(T)                                                                 \
  template void binary_cross_entropy_sum(Cuda, const T*, const T*, Index, double, T*); \
  template void binary_cross_entropy_backward(Cuda, const T*, const T*, Accumulator<T>, const T*, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
