#include <algorithm>
#include <cmath>

#include "base/element_types.hpp"
#include "kernels/cuda/device_array.hpp"
#include "kernels/cuda/warp_rows.hpp"
#include "kernels/normalized_row.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 128;

template <class T>
struct RowMoments {
  Matrix<const T> x;
  bool centred;
  Moments* moments;

  __device__ void operator()(Index i) const {
    const T* const row = x.row(i);
    const auto count = static_cast<double>(x.columns);
    double mean = 0;
    if (centred && x.columns > 0) {
      mean = warp_total(x.columns, [=](Index c) { return static_cast<double>(row[c]); }) / count;
    }
    const double squares = warp_total(x.columns, [=](Index c) {
      const double deviation = static_cast<double>(row[c]) - mean;
      return deviation * deviation;
    });
    if (threadIdx.x % 32 == 0) moments[i] = {count, mean, squares};
  }
};

__global__ void merge(const Moments* parts, Index count, Index rows, Moments* out) {
  for (Index i = grid_thread(); i < rows; i += grid_threads()) {
    Moments sum{0, 0, 0};
    for (Index k = 0; k < count; ++k) sum = merged(sum, parts[k * rows + i]);
    out[i] = sum;
  }
}

template <class T>
struct Normalize {
  NormalizedRows<T> rows;
  const T* bias;
  Matrix<T> out;

  __device__ void operator()(Index i) const {
    const NormalizedRow<T> row(rows, i);
    for (Index c = threadIdx.x % 32; c < out.columns; c += 32) {
      const double value = row.weighted(row(c), c);
      out.row(i)[c] = static_cast<T>(bias == nullptr ? value : value + static_cast<double>(bias[c]));
    }
  }
};

template <class T>
struct RowSums {
  NormalizedRows<T> rows;
  Matrix<const T> g;
  double* sums;

  __device__ void operator()(Index i) const {
    const NormalizedRow<T> row(rows, i);
    const T* const upstream = g.row(i);
    const auto weighted = [=](Index c) { return row.weighted(static_cast<double>(upstream[c]), c); };
    const double constant = warp_total(g.columns, weighted);
    const double linear = warp_total(g.columns, [=](Index c) { return weighted(c) * row(c); });
    if (threadIdx.x % 32 == 0) {
      sums[2 * i] = constant;
      sums[2 * i + 1] = linear;
    }
  }
};

template <class T>
struct NormalizeBackward {
  NormalizedRows<T> rows;
  Matrix<const T> g;
  const double* sums;
  bool centred;
  Matrix<T> out;

  __device__ void operator()(Index i) const {
    const NormalizedRow<T> row(rows, i);
    const double constant = centred ? sums[2 * i] / row.count : 0;
    const double linear = sums[2 * i + 1] / row.count;
    for (Index c = threadIdx.x % 32; c < out.columns; c += 32) {
      const double weighted = row.weighted(static_cast<double>(g.row(i)[c]), c);
      out.row(i)[c] = static_cast<T>((weighted - constant - row(c) * linear) * row.scale);
    }
  }
};

/// The sums of each column over groups of `size` rows: two numbers for each group and column.
template <class T>
__global__ void sum_groups(NormalizedRows<T> rows, Matrix<const T> g, Index size, double* sums) {
  const Index items = (g.rows + size - 1) / size * g.columns;
  for (Index item = grid_thread(); item < items; item += grid_threads()) {
    const Index first = item / g.columns * size;
    const Index c = item % g.columns;
    double weight = 0, bias = 0;
    for (Index i = first; i < first + size && i < g.rows; ++i) {
      const double upstream = static_cast<double>(g.row(i)[c]);
      weight += upstream * NormalizedRow<T>(rows, i)(c);
      bias += upstream;
    }
    sums[2 * item] = weight;
    sums[2 * item + 1] = bias;
  }
}

template <class T>
__global__ void add_groups(const double* sums, Index groups, Index columns, T* weights, T* biases) {
  for (Index c = grid_thread(); c < columns; c += grid_threads()) {
    double weight = 0, bias = 0;
    for (Index k = 0; k < groups; ++k) {
      weight += sums[2 * (k * columns + c)];
      bias += sums[2 * (k * columns + c) + 1];
    }
    if (weights != nullptr) weights[c] = static_cast<T>(weight);
    if (biases != nullptr) biases[c] = static_cast<T>(bias);
  }
}

}  // namespace

template <class T>
void row_moments(Cuda cuda, Matrix<const T> x, bool centred, Moments* moments) {
  for_each_row(cuda.stream, x.rows, RowMoments<T>{x, centred, moments});
}

void merge_moments(Cuda cuda, const Moments* parts, Index count, Index rows, Moments* out) {
  launch(merge, grid_for(rows, threads), threads, 0, cuda.stream, parts, count, rows, out);
}

template <class T>
void normalize_rows(Cuda cuda, NormalizedRows<T> rows, const T* bias, Matrix<T> out) {
  for_each_row(cuda.stream, out.rows, Normalize<T>{rows, bias, out});
}

template <class T>
void normalization_sums(Cuda cuda, NormalizedRows<T> rows, Matrix<const T> g, double* sums) {
  for_each_row(cuda.stream, g.rows, RowSums<T>{rows, g, sums});
}

template <class T>
void normalize_rows_backward(Cuda cuda, NormalizedRows<T> rows, Matrix<const T> g, const double* sums, bool centred,
                             Matrix<T> out) {
  for_each_row(cuda.stream, g.rows, NormalizeBackward<T>{rows, g, sums, centred, out});
}

template <class T>
void normalization_column_sums(Cuda cuda, NormalizedRows<T> rows, Matrix<const T> g, T* weight, T* bias) {
  const Index size = std::max<Index>(32, static_cast<Index>(std::sqrt(static_cast<double>(g.rows))));
  const Index groups = (g.rows + size - 1) / size;
  const DeviceArray<double> sums(2 * groups * g.columns, cuda.stream);
  launch(sum_groups<T>, grid_for(groups * g.columns, threads), threads, 0, cuda.stream, rows, g, size, sums.data());
  launch(add_groups<T>, grid_for(g.columns, threads), threads, 0, cuda.stream, sums.data(), groups, g.columns, weight,
         bias);
}

#define INSTANTIATE(T)                                                                                             \
  template void row_moments(Cuda, Matrix<const T>, bool, Moments*);                                                \
  template void normalize_rows(Cuda, NormalizedRows<T>, const T*, Matrix<T>);                                      \
  template void normalization_sums(Cuda, NormalizedRows<T>, Matrix<const T>, double*);                             \
  template void normalize_rows_backward(Cuda, NormalizedRows<T>, Matrix<const T>, const double*, bool, Matrix<T>); \
  template void normalization_column_sums(Cuda, NormalizedRows<T>, Matrix<const T>, T*, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
