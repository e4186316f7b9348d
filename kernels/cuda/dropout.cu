#include "kernels/dropout.hpp"

#include "base/element_types.hpp"
#include "kernels/cuda/launch.hpp"

namespace tartan::kernels {
namespace {

template <class T>
__global__ void drop(const T* x, Index n, GlobalPositions positions, DropoutMask mask, T* out) {
  const auto factor = static_cast<Accumulator<T>>(mask.factor);
  for (Index i = grid_thread(); i < n; i += grid_threads()) {
    const Index position = positions(i);
    const bool kept = mask.keeps(mask.bits(position), position);
    out[i] = kept ? static_cast<T>(factor * static_cast<Accumulator<T>>(x[i])) : T{};
  }
}

}  // namespace

template <class T>
void dropout(Cuda cuda, const T* x, const Box& box, const Shape& shape, DropoutMask mask, T* out) {
  constexpr int threads = 256;
  const Index n = box.elements();
  launch(drop<T>, grid_for(n, threads), threads, 0, cuda.stream, x, n, GlobalPositions(box, shape), mask, out);
}

#define INSTANTIATE(T) template void dropout(Cuda, const T*, const Box&, const Shape&, DropoutMask, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
