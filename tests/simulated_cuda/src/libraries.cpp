#include <cublas_v2.h>
#include <cub/cub.cuh>

#include <tartan/base/half_types.hpp>

#include "internal.hpp"

// What the stand-ins for CUB and cuBLAS need.

struct cublasContext {
  int device;
  cudaStream_t stream = nullptr;
};

namespace simulated_cuda {
namespace {

int device_of_algorithm = -1;

struct Factor {
  const void* data;
  cudaDataType type;
  std::int64_t stride;
  bool turned;
  std::int64_t rows;  // of what is stored
  std::int64_t columns;
};

std::size_t size_of(cudaDataType type) { return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2; }

double element(const Factor& m, std::int64_t i, std::int64_t j) {
  const auto at = m.turned ? j + i * m.stride : i + j * m.stride;
  switch (m.type) {
    case CUDA_R_64F:
      return static_cast<const double*>(m.data)[at];
    case CUDA_R_32F:
      return static_cast<const float*>(m.data)[at];
    case CUDA_R_16F:
      return static_cast<float>(static_cast<const tartan::half*>(m.data)[at]);
    default:
      return static_cast<float>(static_cast<const tartan::bfloat16*>(m.data)[at]);
  }
}

void set(const Factor& m, std::int64_t i, std::int64_t j, double value) {
  auto* data = const_cast<void*>(m.data);
  const auto at = i + j * m.stride;
  const auto single = static_cast<float>(value);
  switch (m.type) {
    case CUDA_R_64F:
      static_cast<double*>(data)[at] = value;
      break;
    case CUDA_R_32F:
      static_cast<float*>(data)[at] = single;
      break;
    case CUDA_R_16F:
      static_cast<tartan::half*>(data)[at] = tartan::half(single);
      break;
    default:
      static_cast<tartan::bfloat16*>(data)[at] = tartan::bfloat16(single);
  }
}

void check(const Factor& m) {
  for (std::int64_t j = 0; j < m.columns; ++j) {
    const auto offset = static_cast<std::size_t>(j * m.stride) * size_of(m.type);
    check_algorithm(static_cast<const char*>(m.data) + offset, static_cast<std::size_t>(m.rows) * size_of(m.type));
  }
}

/// One rounding to T for each product and each sum.
template <class T>
void multiply(const Factor& a, const Factor& b, const Factor& c, std::int64_t terms, T alpha, T beta) {
  check(a);
  check(b);
  check(c);
  for (std::int64_t i = 0; i < c.rows; ++i) {
    for (std::int64_t j = 0; j < c.columns; ++j) {
      T sum = 0;
      for (std::int64_t l = 0; l < terms; ++l) {
        sum = sum + static_cast<T>(element(a, i, l)) * static_cast<T>(element(b, l, j));
      }
      set(c, i, j, beta == 0 ? alpha * sum : alpha * sum + beta * static_cast<T>(element(c, i, j)));
    }
  }
}

cublasStatus_t product(cublasHandle_t handle, Factor a, Factor b, Factor c, std::int64_t terms, const void* alpha,
                       const void* beta) {
  const Call call;
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const auto fits = [](const Factor& m) {
    return m.rows >= 0 && m.columns >= 0 && m.stride >= std::max<std::int64_t>(m.rows, 1);
  };
  if (!fits(a) || !fits(b) || !fits(c)) return CUBLAS_STATUS_INVALID_VALUE;
  auto* stream = find(handle->stream);
  if (stream == nullptr || handle->device != current_device()) return CUBLAS_STATUS_EXECUTION_FAILED;
  const bool wide = c.type == CUDA_R_64F;
  const double scale = wide ? *static_cast<const double*>(alpha) : *static_cast<const float*>(alpha);
  const double keep = wide ? *static_cast<const double*>(beta) : *static_cast<const float*>(beta);
  const int device = handle->device;
  enqueue(*stream, [=] {
    device_of_algorithm = device;
    if (wide) {
      multiply<double>(a, b, c, terms, scale, keep);
    } else {
      multiply<float>(a, b, c, terms, static_cast<float>(scale), static_cast<float>(keep));
    }
  });
  return CUBLAS_STATUS_SUCCESS;
}

Factor factor(const void* data, cudaDataType type, std::int64_t stride, cublasOperation_t turn, std::int64_t rows,
              std::int64_t columns) {
  const bool turned = turn != CUBLAS_OP_N;
  return {data, type, stride, turned, turned ? columns : rows, turned ? rows : columns};
}

}  // namespace

cudaError_t enqueue_algorithm(void* storage, std::size_t& storage_bytes, std::size_t needed, cudaStream_t handle,
                              std::function<void()> work) {
  if (storage == nullptr) {
    storage_bytes = needed;
    return cudaSuccess;
  }
  const Call call;
  auto* stream = find(handle);
  if (stream == nullptr || device_of(*stream) != current_device()) return failed(cudaErrorInvalidResourceHandle);
  if (storage_bytes < needed) return failed(cudaErrorInvalidValue);
  enqueue(*stream, [=, device = current_device()] {
    device_of_algorithm = device;
    check_algorithm(storage, needed);
    work();
    std::fill_n(static_cast<char*>(storage), needed, char{0x55});  // nothing in it lasts
  });
  return cudaSuccess;
}

void check_algorithm(const void* memory, std::size_t bytes) {
  memory::check(memory, bytes, device_of_algorithm, "a library's algorithm");
}

}  // namespace simulated_cuda

using namespace simulated_cuda;

extern "C" {

const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    default:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
  }
}

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new cublasContext{current_device()};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetPointerMode(cublasHandle_t, cublasPointerMode_t mode) {
  return mode == CUBLAS_POINTER_MODE_HOST ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}
cublasStatus_t cublasSetWorkspace(cublasHandle_t, void*, std::size_t) { return CUBLAS_STATUS_SUCCESS; }

cublasStatus_t cublasGemmEx_64(cublasHandle_t handle, cublasOperation_t a_turn, cublasOperation_t b_turn,
                               std::int64_t m, std::int64_t n, std::int64_t k, const void* alpha, const void* a,
                               cudaDataType a_type, std::int64_t a_stride, const void* b, cudaDataType b_type,
                               std::int64_t b_stride, const void* beta, void* c, cudaDataType c_type,
                               std::int64_t c_stride, cublasComputeType_t compute, cublasGemmAlgo_t) {
  const bool wide = compute == CUBLAS_COMPUTE_64F || compute == CUBLAS_COMPUTE_64F_PEDANTIC;
  if (a_type != b_type || a_type != c_type || wide != (c_type == CUDA_R_64F)) return CUBLAS_STATUS_NOT_SUPPORTED;
  return product(handle, factor(a, a_type, a_stride, a_turn, m, k), factor(b, b_type, b_stride, b_turn, k, n),
                 {c, c_type, c_stride, false, m, n}, k, alpha, beta);
}

cublasStatus_t cublasGemmStridedBatchedEx_64(cublasHandle_t handle, cublasOperation_t a_turn, cublasOperation_t b_turn,
                                             std::int64_t m, std::int64_t n, std::int64_t k, const void* alpha,
                                             const void* a, cudaDataType a_type, std::int64_t a_stride,
                                             long long a_distance, const void* b, cudaDataType b_type,
                                             std::int64_t b_stride, long long b_distance, const void* beta, void* c,
                                             cudaDataType c_type, std::int64_t c_stride, long long c_distance,
                                             std::int64_t count, cublasComputeType_t compute,
                                             cublasGemmAlgo_t algorithm) {
  const auto bytes = [](cudaDataType type) { return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2; };
  for (std::int64_t i = 0; i < count; ++i) {
    const auto status = cublasGemmEx_64(
        handle, a_turn, b_turn, m, n, k, alpha, static_cast<const char*>(a) + i * a_distance * bytes(a_type), a_type,
        a_stride, static_cast<const char*>(b) + i * b_distance * bytes(b_type), b_type, b_stride, beta,
        static_cast<char*>(c) + i * c_distance * bytes(c_type), c_type, c_stride, compute, algorithm);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t a_turn, cublasOperation_t b_turn, int m, int n,
                            int k, const void* alpha, const void* a, cudaDataType a_type, int a_stride, const void* b,
                            cudaDataType b_type, int b_stride, const void* beta, void* c, cudaDataType c_type,
                            int c_stride, cublasComputeType_t compute, cublasGemmAlgo_t algorithm) {
  return cublasGemmEx_64(handle, a_turn, b_turn, m, n, k, alpha, a, a_type, a_stride, b, b_type, b_stride, beta, c,
                         c_type, c_stride, compute, algorithm);
}

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t a_turn, cublasOperation_t b_turn, int m, int n,
                           int k, const float* alpha, const float* a, int a_stride, const float* b, int b_stride,
                           const float* beta, float* c, int c_stride) {
  return cublasGemmEx(handle, a_turn, b_turn, m, n, k, alpha, a, CUDA_R_32F, a_stride, b, CUDA_R_32F, b_stride, beta, c,
                      CUDA_R_32F, c_stride, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}

cublasStatus_t cublasDgemm(cublasHandle_t handle, cublasOperation_t a_turn, cublasOperation_t b_turn, int m, int n,
                           int k, const double* alpha, const double* a, int a_stride, const double* b, int b_stride,
                           const double* beta, double* c, int c_stride) {
  return cublasGemmEx(handle, a_turn, b_turn, m, n, k, alpha, a, CUDA_R_64F, a_stride, b, CUDA_R_64F, b_stride, beta, c,
                      CUDA_R_64F, c_stride, CUBLAS_COMPUTE_64F, CUBLAS_GEMM_DEFAULT);
}

}  // extern "C"
