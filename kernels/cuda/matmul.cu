#include "kernels/matmul.hpp"

#include <algorithm>
#include <map>
#include <type_traits>

#include "base/element_types.hpp"
#include "kernels/cuda/cublas.hpp"
#include "kernels/cuda/device_array.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/sum_tree.hpp"

namespace tartan::kernels {
namespace {

class Handle {
 public:
  Handle() {
    check_cublas(cublasCreate(&handle_), "starting");
    // Not TF32 for float, and the half types are added in float to the end.
    const auto mode = CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    check_cublas(cublasSetMathMode(handle_, static_cast<cublasMath_t>(mode)), "choosing its precision");
  }
  ~Handle() { (void)cublasDestroy(handle_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  cublasHandle_t get() const { return handle_; }

 private:
  cublasHandle_t handle_ = nullptr;
};

}  // namespace

cublasHandle_t handle_on(cudaStream_t stream) {
  thread_local std::map<int, Handle> handles;
  int device = 0;
  check_cuda(cudaGetDevice(&device), "asking for the current device");
  const auto handle = handles[device].get();
  check_cublas(cublasSetStream(handle, stream), "choosing a stream");
  return handle;
}

namespace {

/// out = a·b, each transposed where said: to cuBLAS, which goes by columns, outᵀ = bᵀ·aᵀ.
template <class T>
void multiply(Cuda cuda, Matrix<const T> a, cublasOperation_t turn_a, Matrix<const T> b, cublasOperation_t turn_b,
              Index terms, Matrix<T> out) {
  if (out.rows == 0 || out.columns == 0) return;
  if (terms == 0) {
    check_cuda(cudaMemset2DAsync(out.data, static_cast<std::size_t>(out.stride) * sizeof(T), 0,
                                 static_cast<std::size_t>(out.columns) * sizeof(T), static_cast<std::size_t>(out.rows),
                                 cuda.stream),
               "clearing a product");
    return;
  }
  using Scalar = Accumulator<T>;
  const Scalar one = 1;
  const Scalar zero = 0;
  constexpr auto type = data_type<T>;
  const auto compute = std::is_same_v<T, double> ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
  check_cublas(cublasGemmEx_64(handle_on(cuda.stream), turn_b, turn_a, out.columns, out.rows, terms, &one, b.data, type,
                               b.stride, a.data, type, a.stride, &zero, out.data, type, out.stride, compute,
                               CUBLAS_GEMM_DEFAULT),
               "a product");
}

template <class T>
__global__ void add_row(const T* row, Matrix<T> out) {
  const Index first = Index{blockIdx.x} * blockDim.x + threadIdx.x;
  for (Index i = Index{blockIdx.y} * blockDim.y + threadIdx.y; i < out.rows; i += Index{gridDim.y} * blockDim.y) {
    for (Index c = first; c < out.columns; c += Index{gridDim.x} * blockDim.x) out.row(i)[c] = out.row(i)[c] + row[c];
  }
}

/// The column sums of each group of rows.
template <class T, class Out>
__global__ void sum_groups(Matrix<const T> a, Out* out) {
  constexpr Index batch = 8;
  const Index items = groups_of(a.rows) * a.columns;
  for (Index item = grid_thread(); item < items; item += grid_threads()) {
    const Index first = item / a.columns * summed_rows;
    const Index c = item % a.columns;
    double sum = 0;
    for (Index i = first; i < first + summed_rows; i += batch) {
      T values[batch];  // all on their way before the first is added; a 0 changes no bit of a sum
      for (Index k = 0; k < batch; ++k) values[k] = i + k < a.rows ? a.row(i + k)[c] : T{};
      for (const T value : values) sum += static_cast<double>(value);
    }
    out[item] = static_cast<Out>(sum);
  }
}

template <class T, class Out>
void sum_columns(Cuda cuda, Matrix<const T> a, Out* out) {
  constexpr int threads = 128;
  const Index groups = groups_of(a.rows);
  const auto grid = grid_for(groups * a.columns, threads);
  if (groups == 1) return launch(sum_groups<T, Out>, grid, threads, 0, cuda.stream, a, out);
  const DeviceArray<double> sums(groups * a.columns, cuda.stream);
  launch(sum_groups<T, double>, grid, threads, 0, cuda.stream, a, sums.data());
  sum_columns(cuda, Matrix<const double>{sums.data(), groups, a.columns, a.columns}, out);
}

}  // namespace

template <class T>
void matmul(Cuda cuda, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  multiply(cuda, a, CUBLAS_OP_N, b, CUBLAS_OP_N, b.rows, out);
}

template <class T>
void matmul_transposed_right(Cuda cuda, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  multiply(cuda, a, CUBLAS_OP_N, b, CUBLAS_OP_T, b.columns, out);
}

template <class T>
void matmul_transposed_left(Cuda cuda, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  multiply(cuda, a, CUBLAS_OP_T, b, CUBLAS_OP_N, b.rows, out);
}

template <class T>
void add_to_rows(Cuda cuda, const T* row, Matrix<T> out) {
  const dim3 block{32, 8};
  const auto blocks = [](Index count, Index size) {
    return static_cast<unsigned>(std::min<Index>((count + size - 1) / size, 1024));
  };
  launch(add_row<T>, {blocks(out.columns, 32), blocks(out.rows, 8)}, block, 0, cuda.stream, row, out);
}

template <class T>
void column_sums(Cuda cuda, Matrix<const T> a, T* out) {
  sum_columns(cuda, a, out);
}

#define INSTANTIATE(T)                                                                      \
  template void matmul(Cuda, Matrix<const T>, Matrix<const T>, Matrix<T>);                  \
  template void matmul_transposed_right(Cuda, Matrix<const T>, Matrix<const T>, Matrix<T>); \
  template void matmul_transposed_left(Cuda, Matrix<const T>, Matrix<const T>, Matrix<T>);  \
  template void add_to_rows(Cuda, const T*, Matrix<T>);                                     \
  template void column_sums(Cuda, Matrix<const T>, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
