#include "kernels/top_k.hpp"

#include <limits>

#include "base/element_types.hpp"
#include "kernels/cuda/launch.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;

__device__ inline Ranked nothing() { return {-std::numeric_limits<double>::infinity(), -1}; }

/// A block to a row: k times, the first of those that come after the last one.
template <class T>
__global__ void __launch_bounds__(threads) rank(Matrix<const T> x, Index first_class, Index k, Ranked* best) {
  __shared__ Ranked first[threads];
  const int thread = static_cast<int>(threadIdx.x);
  for (Index r = blockIdx.x; r < x.rows; r += gridDim.x) {
    Ranked last = nothing();
    for (Index i = 0; i < k; ++i) {
      Ranked found = nothing();
      for (Index c = thread; c < x.columns; c += threads) {
        const Ranked entry{static_cast<double>(x.row(r)[c]), static_cast<double>(first_class + c)};
        if ((i == 0 || last.comes_before(entry)) && entry.comes_before(found)) found = entry;
      }
      first[thread] = found;
      for (int half = threads / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half && first[thread + half].comes_before(first[thread])) first[thread] = first[thread + half];
      }
      __syncthreads();
      last = first[0];
      if (thread == 0) best[r * k + i] = last;
      __syncthreads();
      if (last.is_none()) {
        for (Index rest = i + 1 + thread; rest < k; rest += threads) best[r * k + rest] = last;
        break;
      }
    }
  }
}

/// A thread to a row.
template <class T>
__global__ void merge(const Ranked* best, Index parts, Index rows, Index k, T* values, Index* classes) {
  for (Index r = grid_thread(); r < rows; r += grid_threads()) {
    Ranked last = nothing();
    for (Index i = 0; i < k; ++i) {
      Ranked found = nothing();
      for (Index p = 0; p < parts; ++p) {
        for (Index j = 0; j < k; ++j) {
          const Ranked entry = best[(p * rows + r) * k + j];
          if ((i == 0 || last.comes_before(entry)) && entry.comes_before(found)) found = entry;
        }
      }
      last = found;
      values[r * k + i] = static_cast<T>(found.value);
      classes[r * k + i] = static_cast<Index>(found.index);
    }
  }
}

}  // namespace

template <class T>
void rank_classes(Cuda cuda, Matrix<const T> x, Index first_class, Index k, Ranked* best) {
  launch(rank<T>, resident_grid(rank<T>, x.rows, threads), threads, 0, cuda.stream, x, first_class, k, best);
}

template <class T>
void merge_ranked(Cuda cuda, const Ranked* best, Index parts, Index rows, Index k, T* values, Index* classes) {
  launch(merge<T>, grid_for(rows, threads), threads, 0, cuda.stream, best, parts, rows, k, values, classes);
}

#define TARTAN_INSTANTIATE(T)                                               \
  template void rank_classes(Cuda, Matrix<const T>, Index, Index, Ranked*); \
  template void merge_ranked(Cuda, const Ranked*, Index, Index, Index, T*, Index*);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
