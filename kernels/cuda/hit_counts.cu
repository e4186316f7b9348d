#include "base/element_types.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/plan_arrays.hpp"
#include "kernels/rows.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;

/// A warp takes a chunk at a time.
template <class T>
__global__ void count_hits(PlanArrays plan, T* counts) {
  const Index chunks = plan.sizes->chunks;
  for (Index c = grid_thread() / 32; c < chunks; c += grid_threads() / 32) {
    const Index u = plan.chunks[c].u, end = plan.chunks[c + 1].mark >> 1;
    const auto count = static_cast<T>(plan.offsets[u + 1] - plan.offsets[u]);
    for (Index hit = (plan.chunks[c].mark >> 1) + threadIdx.x % 32; hit < end; hit += 32) {
      counts[plan.positions[hit]] = count;
    }
  }
}

}  // namespace

template <class T>
void hit_counts(Cuda where, const CudaRowPlan& plan, Index count, T* counts) {
  const auto view = use(plan, where.stream);
  if (count == 0) return;
  check_cuda(cudaMemsetAsync(counts, 0, static_cast<std::size_t>(count) * sizeof(T), where.stream), "clearing counts");
  launch(count_hits<T>, grid_for(view.most_chunks * 32, threads), threads, 0, where.stream, view.arrays, counts);
}

#define TARTAN_INSTANTIATE(T) template void hit_counts(Cuda, const CudaRowPlan&, Index, T*);
TARTAN_INSTANTIATE(float)
TARTAN_INSTANTIATE(double)
TARTAN_INSTANTIATE(Index)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
