#include "kernels/batched_matmul.hpp"

#include "kernels/cuda/cublas.hpp"
#include "kernels/cuda/launch.hpp"

namespace tartan::kernels {
namespace {

template <class T>
__global__ void clear(Batch<T> out) {
  const Index each = out.rows * out.columns;
  for (Index i = grid_thread(); i < out.count * each; i += grid_threads()) {
    out[i / each].row(i % each / out.columns)[i % out.columns] = 0;
  }
}

}  // namespace

template <class T>
void batched_matmul(Cuda cuda, Batch<const T> a, Batch<const T> b, Transposed transposed, bool accumulate,
                    Batch<T> out) {
  constexpr int threads = 256;
  const Index terms = transposed == Transposed::left ? a.rows : a.columns;
  const Index elements = out.count * out.rows * out.columns;
  if (elements == 0) return;
  if (terms == 0) {
    if (!accumulate) launch(clear<T>, grid_for(elements, threads), threads, 0, cuda.stream, out);
    return;
  }
  const T one = 1;
  const T kept = accumulate ? 1 : 0;
  constexpr auto type = data_type<T>;
  const auto compute = type == CUDA_R_64F ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
  const auto turn = [=](Transposed side) { return transposed == side ? CUBLAS_OP_T : CUBLAS_OP_N; };
  // To cuBLAS, which goes by columns, outᵀ = bᵀ·aᵀ.
  check_cublas(cublasGemmStridedBatchedEx_64(handle_on(cuda.stream), turn(Transposed::right), turn(Transposed::left),
                                             out.columns, out.rows, terms, &one, b.data, type, b.stride, b.distance,
                                             a.data, type, a.stride, a.distance, &kept, out.data, type, out.stride,
                                             out.distance, out.count, compute, CUBLAS_GEMM_DEFAULT),
               "a batch of products");
}

template void batched_matmul(Cuda, Batch<const float>, Batch<const float>, Transposed, bool, Batch<float>);
template void batched_matmul(Cuda, Batch<const double>, Batch<const double>, Transposed, bool, Batch<double>);

}  // namespace tartan::kernels
