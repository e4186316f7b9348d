#pragma once

#include <cstdint>

#include "kernels/cuda/launch.hpp"

namespace tartan::kernels {

/// `width` elements that are moved at once.
template <class T, int width>
struct alignas(width * sizeof(T)) Pack {
  T values[width];
};

/// out[i] = op(a[i], b[i]), where `inputs` says how many of a and b are read.
template <int inputs, int width, class T, class Op>
__global__ void map_packs(Op op, Index n, const T* a, const T* b, T* out) {
  using Packed = Pack<T, width>;
  const Index packs = n / width;
  for (Index p = grid_thread(); p < packs; p += grid_threads()) {
    Packed x{}, y{}, result;
    if constexpr (inputs > 0) x = reinterpret_cast<const Packed*>(a)[p];
    if constexpr (inputs > 1) y = reinterpret_cast<const Packed*>(b)[p];
    for (int k = 0; k < width; ++k) result.values[k] = op(x.values[k], y.values[k]);
    reinterpret_cast<Packed*>(out)[p] = result;
  }
  if (const Index i = packs * width + grid_thread(); i < n) {
    T x{}, y{};
    if constexpr (inputs > 0) x = a[i];
    if constexpr (inputs > 1) y = b[i];
    out[i] = op(x, y);
  }
}

/// Enqueues out[i] = op(a[i], b[i]) for i < n, for `inputs` of a and b; 16 bytes at once where all of them allow it.
template <int inputs, class T, class Op>
void map(cudaStream_t stream, Op op, Index n, const T* a, const T* b, T* out) {
  constexpr int width = 16 / sizeof(T);
  constexpr int threads = 256;
  const auto address =
      reinterpret_cast<std::uintptr_t>(a) | reinterpret_cast<std::uintptr_t>(b) | reinterpret_cast<std::uintptr_t>(out);
  if (address % 16 == 0) {
    launch(map_packs<inputs, width, T, Op>, grid_for((n + width - 1) / width, threads), threads, 0, stream, op, n, a, b,
           out);
  } else {
    launch(map_packs<inputs, 1, T, Op>, grid_for(n, threads), threads, 0, stream, op, n, a, b, out);
  }
}

}  // namespace tartan::kernels
