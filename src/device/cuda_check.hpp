#pragma once

#include <cuda_runtime.h>

#include <string>

#include <tartan/base/error.hpp>

namespace tartan {

/// Throws CudaError with the runtime's name and text of `status` unless it is a success. `what` says what was tried, as
/// in "copying to the device".
inline void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // an error that is not sticky must not be reported a second time, by an innocent call
  const std::string text =
      std::string{what} + ": " + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")";
  throw CudaError(text, static_cast<int>(status));
}

}  // namespace tartan
