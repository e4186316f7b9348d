#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include <tartan/base/index.hpp>

#include "device/cuda_check.hpp"
#include "kernels/cuda/shared_memory.hpp"

namespace tartan::kernels {

/// The number of this thread among all of a one-dimensional grid, and how many there are: for grid-stride loops
/// `for (Index i = grid_thread(); i < n; i += grid_threads())`.
__device__ inline Index grid_thread() { return Index{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline Index grid_threads() { return Index{gridDim.x} * blockDim.x; }

/// The multiprocessors of the current device, and the threads of which each has room.
struct Processors {
  Index count, threads;
};
inline Processors processors() {
  int device = 0, count = 0, threads = 0;
  check_cuda(cudaGetDevice(&device), "asking for the current device");
  check_cuda(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device), "asking for processors");
  check_cuda(cudaDeviceGetAttribute(&threads, cudaDevAttrMaxThreadsPerMultiProcessor, device), "asking for threads");
  return {count, threads};
}

/// A one-dimensional grid for a grid-stride loop over `count` items by blocks of `threads`: one item a thread, or as
/// many blocks as are resident at once on the current device where that is less.
inline dim3 grid_for(Index count, int threads) {
  const auto there = processors();
  const Index most = there.count * std::max<Index>(there.threads / threads, 1);
  return {static_cast<unsigned>(std::min((count + threads - 1) / threads, most))};
}

/// A one-dimensional grid of `blocks` blocks of `threads` threads for a kernel that goes round in a loop over its work,
/// or as many as are resident at once on the current device where that is less.
template <class... Parameters>
dim3 resident_grid(void (*kernel)(Parameters...), Index blocks, int threads) {
  int resident = 0;
  check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, threads, 0), "asking for residency");
  return {static_cast<unsigned>(std::min(blocks, processors().count * std::max(resident, 1)))};
}

/// Enqueues kernel(args...) on `stream`, which belongs to the current device, on `grid` blocks of `block` threads with
/// `shared_bytes` of dynamic shared memory each. A grid without blocks does nothing.
template <class... Parameters>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            std::type_identity_t<Parameters>... args) {
  constexpr std::size_t always_there = 48 * 1024;  // more has to be asked for
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  if (shared_bytes > always_there) {
    check_cuda(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
        "asking for shared memory");
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  check_cuda(cudaLaunchKernelEx(&config, kernel, args...), "launching a kernel");
}

}  // namespace tartan::kernels
