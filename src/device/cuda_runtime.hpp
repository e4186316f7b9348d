#pragma once

#include <cuda_runtime.h>

/// What the CUDA kernels need of cuda_runtime.cpp.
namespace tartan::device {

/// Tartan's own memory pool on the current device: it keeps what is freed for the next allocation.
cudaMemPool_t pool();

/// Lets what is enqueued on `later` from now on wait for what was enqueued on `earlier` before; both belong to the
/// current device.
cudaError_t order_streams(cudaStream_t earlier, cudaStream_t later) noexcept;

}  // namespace tartan::device
