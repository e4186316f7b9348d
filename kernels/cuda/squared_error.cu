#include "kernels/squared_error.hpp"

#include "base/element_types.hpp"
#include "kernels/cuda/map.hpp"
#include "kernels/cuda/sum_tree.hpp"

namespace tartan::kernels {
namespace {

template <class T>
struct Square {
  const T* x;
  const T* y;
  __device__ double operator()(Index i) const {
    const double d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    return d * d;
  }
};

template <class T>
struct SquareBackward {
  double factor;
  const T* upstream;
  __device__ T operator()(T x, T y) const {
    const double scale = 2 * factor * static_cast<double>(*upstream);
    return static_cast<T>(scale * (static_cast<double>(x) - static_cast<double>(y)));
  }
};

}  // namespace

template <class T>
void squared_error_sum(Cuda cuda, const T* x, const T* y, Index n, double factor, T* out) {
  sum_of_terms(cuda.stream, Square<T>{x, y}, n, factor, out);
}

template <class T>
void squared_error_backward(Cuda cuda, const T* x, const T* y, double factor, const T* upstream, Index n, T* out) {
  map<2, T>(cuda.stream, SquareBackward<T>{factor, upstream}, n, x, y, out);
}

#define INSTANTIATE(T)                                                          \
  template void squared_error_sum(Cuda, const T*, const T*, Index, double, T*); \
  template void squared_error_backward(Cuda, const T*, const T*, double, const T*, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
