#pragma once

#include "kernels/cuda/launch.hpp"

/// Kernels of which a warp takes a row.
namespace tartan::kernels {

/// The sum of all lanes' values, in every lane.
__device__ inline double warp_sum(double value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(~0u, value, step);
  return value;
}

/// The sum of term(0), ..., term(n - 1), in every lane.
template <class Term>
__device__ double warp_total(Index n, const Term& term) {
  double sum = 0;
  for (Index c = threadIdx.x % 32; c < n; c += 32) sum += term(c);
  return warp_sum(sum);
}

template <class Body>
__global__ void for_rows(Index rows, Body body) {
  for (Index i = grid_thread() / 32; i < rows; i += grid_threads() / 32) body(i);
}

/// Enqueues body(i) for all rows, which the 32 lanes of a warp call together.
template <class Body>
void for_each_row(cudaStream_t stream, Index rows, Body body) {
  constexpr int threads = 128;
  launch(for_rows<Body>, grid_for(rows * 32, threads), threads, 0, stream, rows, body);
}

}  // namespace tartan::kernels
