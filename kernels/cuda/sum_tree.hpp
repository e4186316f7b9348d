#pragma once

#include "kernels/cuda/device_array.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/sum_tree.hpp"

namespace tartan::kernels {

/// out[c] = factor · the sum of chunk c of term(0), ..., term(n - 1). A block of sum_lanes threads for each.
template <class Term, class Out>
__global__ void sum_chunks(Term term, Index n, double factor, Out* out) {
  __shared__ double lanes[sum_lanes];
  const int lane = static_cast<int>(threadIdx.x);
  for (Index chunk = blockIdx.x; chunk < chunks_of(n); chunk += gridDim.x) {
    double sum = 0;
    const Index begin = chunk * sum_chunk + lane;
    for (int i = 0; i < sum_chunk; i += sum_lanes) {
      if (begin + i < n) sum += term(begin + i);
    }
    lanes[lane] = sum;
    __syncthreads();
    for (int half = sum_lanes / 2; half > 0; half /= 2) {
      if (lane < half) lanes[lane] += lanes[lane + half];
      __syncthreads();
    }
    if (lane == 0) out[chunk] = static_cast<Out>(factor * lanes[0]);
    __syncthreads();
  }
}

/// The sums of chunks as terms.
struct ChunkSums {
  const double* sums;
  __device__ double operator()(Index i) const { return sums[i]; }
};

/// Enqueues *out = factor · the sum of term(0), ..., term(n - 1), rounded once.
template <class Term, class Out>
void sum_of_terms(cudaStream_t stream, Term term, Index n, double factor, Out* out) {
  constexpr int threads = static_cast<int>(sum_lanes);
  const Index chunks = chunks_of(n);
  const auto grid = grid_for(chunks * threads, threads);
  if (chunks == 1) return launch(sum_chunks<Term, Out>, grid, threads, 0, stream, term, n, factor, out);
  const DeviceArray<double> sums(chunks, stream);
  launch(sum_chunks<Term, double>, grid, threads, 0, stream, term, n, 1.0, sums.data());
  sum_of_terms(stream, ChunkSums{sums.data()}, chunks, factor, out);
}

}  // namespace tartan::kernels
