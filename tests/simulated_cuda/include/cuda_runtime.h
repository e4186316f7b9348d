#pragma once

#include <math.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cuda_runtime_api.h"
#include "simulated_cuda/atomics.hpp"
#include "simulated_cuda/intrinsics.hpp"
#include "simulated_cuda/simt.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)
#define __shared__ static  // blocks run one after another

using std::max;
using std::min;

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  struct Launch {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> arguments;
  };
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "arguments of kernels are copied as bytes");
  const auto call = [](const void* launch) {
    const auto* l = static_cast<const Launch*>(launch);
    std::apply(l->kernel, l->arguments);
  };
  return simulated_cuda::enqueue_kernel(
      *config, reinterpret_cast<const void*>(kernel), call,
      std::make_shared<Launch>(Launch{kernel, {std::forward<Arguments>(arguments)...}}), sizeof(Launch));
}

template <class Function>
cudaError_t cudaFuncSetAttribute(Function* function, cudaFuncAttribute attribute, int value) {
  return simulated_cuda::set_function_attribute(reinterpret_cast<const void*>(function), attribute, value);
}

template <class Function>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Function* function, int threads,
                                                          std::size_t shared_bytes) {
  return simulated_cuda::resident_blocks(blocks, reinterpret_cast<const void*>(function), threads, shared_bytes);
}

template <class T>
cudaError_t cudaMalloc(T** memory, std::size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(memory), bytes);
}
template <class T>
cudaError_t cudaMallocAsync(T** memory, std::size_t bytes, cudaStream_t stream) {
  return cudaMallocAsync(reinterpret_cast<void**>(memory), bytes, stream);
}
template <class T>
cudaError_t cudaMallocHost(T** memory, std::size_t bytes, unsigned flags = 0) {
  return cudaHostAlloc(reinterpret_cast<void**>(memory), bytes, flags);
}
