#pragma once

#include <cstdint>

#include "cuda_runtime_api.h"

// The products of cuBLAS, as plain loops; other names, values and meanings as in CUDA's own header.

struct cublasContext;
using cublasHandle_t = cublasContext*;

enum cublasStatus_t {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_NOT_INITIALIZED = 1,
  CUBLAS_STATUS_ALLOC_FAILED = 3,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_EXECUTION_FAILED = 13,
  CUBLAS_STATUS_NOT_SUPPORTED = 15
};
enum cublasOperation_t { CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C };
enum cublasMath_t {
  CUBLAS_DEFAULT_MATH = 0,
  CUBLAS_PEDANTIC_MATH = 2,
  CUBLAS_TF32_TENSOR_OP_MATH = 3,
  CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16
};
enum cublasPointerMode_t { CUBLAS_POINTER_MODE_HOST, CUBLAS_POINTER_MODE_DEVICE };
enum cublasComputeType_t {
  CUBLAS_COMPUTE_32F = 68,
  CUBLAS_COMPUTE_32F_PEDANTIC = 69,
  CUBLAS_COMPUTE_64F = 70,
  CUBLAS_COMPUTE_64F_PEDANTIC = 71
};
enum cublasGemmAlgo_t { CUBLAS_GEMM_DEFAULT = -1 };
enum cudaDataType { CUDA_R_32F = 0, CUDA_R_64F = 1, CUDA_R_16F = 2, CUDA_R_16BF = 14 };
using cudaDataType_t = cudaDataType;

extern "C" {

const char* cublasGetStatusString(cublasStatus_t status);
cublasStatus_t cublasCreate(cublasHandle_t* handle);
cublasStatus_t cublasDestroy(cublasHandle_t handle);
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream);
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);
cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode);
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, std::size_t bytes);

// C = alpha op(A) op(B) + beta C by columns, where C is m x n and k terms make a sum.
cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t a_turn, cublasOperation_t b_turn, int m, int n,
                           int k, const float* alpha, const float* a, int a_stride, const float* b, int b_stride,
                           const float* beta, float* c, int c_stride);
cublasStatus_t cublasDgemm(cublasHandle_t handle, cublasOperation_t a_turn, cublasOperation_t b_turn, int m, int n,
                           int k, const double* alpha, const double* a, int a_stride, const double* b, int b_stride,
                           const double* beta, double* c, int c_stride);
cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t a_turn, cublasOperation_t b_turn, int m, int n,
                            int k, const void* alpha, const void* a, cudaDataType a_type, int a_stride, const void* b,
                            cudaDataType b_type, int b_stride, const void* beta, void* c, cudaDataType c_type,
                            int c_stride, cublasComputeType_t compute, cublasGemmAlgo_t algorithm);
cublasStatus_t cublasGemmEx_64(cublasHandle_t handle, cublasOperation_t a_turn, cublasOperation_t b_turn,
                               std::int64_t m, std::int64_t n, std::int64_t k, const void* alpha, const void* a,
                               cudaDataType a_type, std::int64_t a_stride, const void* b, cudaDataType b_type,
                               std::int64_t b_stride, const void* beta, void* c, cudaDataType c_type,
                               std::int64_t c_stride, cublasComputeType_t compute, cublasGemmAlgo_t algorithm);
// `count` products, of which each matrix lies so many elements after the one before.
cublasStatus_t cublasGemmStridedBatchedEx_64(cublasHandle_t handle, cublasOperation_t a_turn, cublasOperation_t b_turn,
                                             std::int64_t m, std::int64_t n, std::int64_t k, const void* alpha,
                                             const void* a, cudaDataType a_type, std::int64_t a_stride,
                                             long long a_distance, const void* b, cudaDataType b_type,
                                             std::int64_t b_stride, long long b_distance, const void* beta, void* c,
                                             cudaDataType c_type, std::int64_t c_stride, long long c_distance,
                                             std::int64_t count, cublasComputeType_t compute,
                                             cublasGemmAlgo_t algorithm);

}  // extern "C"
