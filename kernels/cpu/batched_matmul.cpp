#include "kernels/batched_matmul.hpp"

#include <vector>

#include "base/parallel.hpp"
#include "kernels/matmul.hpp"

namespace tartan::kernels {
namespace {

template <class T>
void multiply(Matrix<const T> a, Matrix<const T> b, Transposed transposed, Matrix<T> out) {
  switch (transposed) {
    case Transposed::none:
      return matmul(Cpu{}, a, b, out);
    case Transposed::left:
      return matmul_transposed_left(Cpu{}, a, b, out);
    case Transposed::right:
      return matmul_transposed_right(Cpu{}, a, b, out);
  }
}

}  // namespace

template <class T>
void batched_matmul(Cpu, Batch<const T> a, Batch<const T> b, Transposed transposed, bool accumulate, Batch<T> out) {
  const Index bytes = (a.rows * a.columns + b.rows * b.columns) * static_cast<Index>(sizeof(T));
  parallel(out.count, bytes, [=](Index begin, Index end) {
    std::vector<T> product(static_cast<std::size_t>(accumulate ? out.rows * out.columns : 0));
    for (Index i = begin; i < end; ++i) {
      if (!accumulate) {
        multiply(a[i], b[i], transposed, out[i]);
        continue;
      }
      multiply(a[i], b[i], transposed, Matrix<T>{product.data(), out.rows, out.columns, out.columns});
      for (Index r = 0; r < out.rows; ++r) {
        for (Index c = 0; c < out.columns; ++c) {
          out[i].row(r)[c] += product[static_cast<std::size_t>(r * out.columns + c)];
        }
      }
    }
  });
}

template void batched_matmul(Cpu, Batch<const float>, Batch<const float>, Transposed, bool, Batch<float>);
template void batched_matmul(Cpu, Batch<const double>, Batch<const double>, Transposed, bool, Batch<double>);

}  // namespace tartan::kernels
