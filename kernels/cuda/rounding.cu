#include "base/element_types.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/elementwise.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;

template <class From, class To>
__global__ void convert(const From* a, Index n, To* out) {
  for (Index i = grid_thread(); i < n; i += grid_threads()) out[i] = static_cast<To>(a[i]);
}

}  // namespace

template <class T>
void round_to(Cuda where, const Accumulator<T>* a, Index n, T* out) {
  launch(convert<Accumulator<T>, T>, grid_for(n, threads), threads, 0, where.stream, a, n, out);
}

template <class T>
void widen(Cuda where, const T* a, Index n, Accumulator<T>* out) {
  launch(convert<T, Accumulator<T>>, grid_for(n, threads), threads, 0, where.stream, a, n, out);
}

#define INSTANTIATE(T)                                            \
  template void round_to(Cuda, const Accumulator<T>*, Index, T*); \
  template void widen(Cuda, const T*, Index, Accumulator<T>*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
