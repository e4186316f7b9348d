#pragma once

#include <cublas_v2.h>

#include <string>
#include <type_traits>

#include <tartan/base/error.hpp>
#include <tartan/base/half_types.hpp>

namespace tartan::kernels {

inline void check_cublas(cublasStatus_t status, const char* doing) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw CudaError(std::string("cuBLAS failed at ") + doing + ": " + cublasGetStatusString(status), status);
}

/// That of this thread and the current device: made at its first product, used on `stream` from now on.
cublasHandle_t handle_on(cudaStream_t stream);

template <class T>
constexpr cudaDataType data_type = std::is_same_v<T, double>  ? CUDA_R_64F
                                   : std::is_same_v<T, float> ? CUDA_R_32F
                                   : std::is_same_v<T, half>  ? CUDA_R_16F
                                                              : CUDA_R_16BF;

}  // namespace tartan::kernels
