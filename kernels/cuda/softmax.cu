#include "kernels/softmax.hpp"

#include <cmath>
#include <limits>

#include "base/element_types.hpp"
#include "kernels/cuda/warp_rows.hpp"
#include "kernels/elementary.hpp"

namespace tartan::kernels {
namespace {

/// The greatest of term(0), ..., term(n - 1) in every lane; NaN where one is.
template <class Term>
__device__ double warp_greatest(Index n, const Term& term) {
  const auto greater = [](double a, double b) { return b > a || b != b ? b : a; };
  double most = -std::numeric_limits<double>::infinity();
  for (Index c = threadIdx.x % 32; c < n; c += 32) most = greater(most, term(c));
  for (int step = 16; step > 0; step /= 2) most = greater(most, __shfl_xor_sync(~0u, most, step));
  return most;
}

template <class T>
struct Softmax {
  Matrix<const T> x;
  SoftmaxRows rows;
  Matrix<T> out;

  __device__ void operator()(Index i) const {
    const T* const row = x.row(i);
    const Index n = rows.visible(i, x.columns);
    const double factor = rows.factor;
    const auto scaled = [=](Index c) { return factor * static_cast<double>(row[c]); };
    const double most = warp_greatest(n, scaled);
    const double sum = warp_total(n, [=](Index c) { return exp_of_difference(scaled(c), most); });
    for (Index c = threadIdx.x % 32; c < x.columns; c += 32) {
      out.row(i)[c] = c < n ? static_cast<T>(exp_of_difference(scaled(c), most) / sum) : T(0);
    }
  }
};

template <class T>
struct SoftmaxBackward {
  Matrix<const T> y;
  Matrix<const T> g;
  SoftmaxRows rows;
  Matrix<T> out;

  __device__ void operator()(Index i) const {
    const T* const p = y.row(i);
    const T* const upstream = g.row(i);
    const Index n = rows.visible(i, y.columns);
    const double sum =
        warp_total(n, [=](Index c) { return static_cast<double>(p[c]) * static_cast<double>(upstream[c]); });
    for (Index c = threadIdx.x % 32; c < y.columns; c += 32) {
      out.row(i)[c] =
          c < n ? static_cast<T>(rows.factor * static_cast<double>(p[c]) * (static_cast<double>(upstream[c]) - sum))
                : T(0);
    }
  }
};

template <class T>
struct LogSoftmax {
  Matrix<const T> x;
  Matrix<T> out;

  __device__ void operator()(Index i) const {
    const T* const row = x.row(i);
    const auto at = [=](Index c) { return static_cast<double>(row[c]); };
    const double most = warp_greatest(x.columns, at);
    const double sum = warp_total(x.columns, [=](Index c) { return exp_of_difference(at(c), most); });
    const double logarithm = std::log(sum);
    for (Index c = threadIdx.x % 32; c < x.columns; c += 32) {
      out.row(i)[c] = static_cast<T>((at(c) - most) - logarithm);
    }
  }
};

template <class T>
struct LogSoftmaxBackward {
  Matrix<const T> y;
  Matrix<const T> g;
  Matrix<T> out;

  __device__ void operator()(Index i) const {
    const T* const upstream = g.row(i);
    const double sum = warp_total(y.columns, [=](Index c) { return static_cast<double>(upstream[c]); });
    for (Index c = threadIdx.x % 32; c < y.columns; c += 32) {
      const double p = exp_of_difference(static_cast<double>(y.row(i)[c]), 0);
      out.row(i)[c] = static_cast<T>(static_cast<double>(upstream[c]) - p * sum);
    }
  }
};

template <class T>
struct SoftmaxOfShard {
  Matrix<const T> x;
  const double* statistics;
  bool logarithm;
  Matrix<T> out;

  __device__ void operator()(Index i) const {
    const double most = statistics[2 * i];
    const double sum = statistics[2 * i + 1];
    const double of_sum = std::log(sum);
    for (Index c = threadIdx.x % 32; c < x.columns; c += 32) {
      const auto at = static_cast<double>(x.row(i)[c]);
      out.row(i)[c] = static_cast<T>(logarithm ? (at - most) - of_sum : exp_of_difference(at, most) / sum);
    }
  }
};

template <class T>
struct SoftmaxShardSums {
  Matrix<const T> y;
  Matrix<const T> g;
  bool logarithm;
  double* sums;

  __device__ void operator()(Index i) const {
    const T* const p = y.row(i);
    const T* const upstream = g.row(i);
    const bool plain = logarithm;
    const double sum = warp_total(y.columns, [=](Index c) {
      return plain ? static_cast<double>(upstream[c]) : static_cast<double>(p[c]) * static_cast<double>(upstream[c]);
    });
    if (threadIdx.x % 32 == 0) sums[i] = sum;
  }
};

template <class T>
struct SoftmaxOfShardBackward {
  Matrix<const T> y;
  Matrix<const T> g;
  const double* sums;
  bool logarithm;
  Matrix<T> out;

  __device__ void operator()(Index i) const {
    for (Index c = threadIdx.x % 32; c < y.columns; c += 32) {
      const auto at = static_cast<double>(y.row(i)[c]);
      const auto upstream = static_cast<double>(g.row(i)[c]);
      out.row(i)[c] =
          static_cast<T>(logarithm ? upstream - exp_of_difference(at, 0) * sums[i] : at * (upstream - sums[i]));
    }
  }
};

}  // namespace

template <class T>
void softmax_rows(Cuda cuda, Matrix<const T> x, SoftmaxRows rows, Matrix<T> out) {
  for_each_row(cuda.stream, x.rows, Softmax<T>{x, rows, out});
}

template <class T>
void softmax_rows_backward(Cuda cuda, Matrix<const T> y, Matrix<const T> g, SoftmaxRows rows, Matrix<T> out) {
  for_each_row(cuda.stream, y.rows, SoftmaxBackward<T>{y, g, rows, out});
}

template <class T>
void log_softmax_rows(Cuda cuda, Matrix<const T> x, Matrix<T> out) {
  for_each_row(cuda.stream, x.rows, LogSoftmax<T>{x, out});
}

template <class T>
void log_softmax_rows_backward(Cuda cuda, Matrix<const T> y, Matrix<const T> g, Matrix<T> out) {
  for_each_row(cuda.stream, y.rows, LogSoftmaxBackward<T>{y, g, out});
}

template <class T>
void softmax_of_shard(Cuda cuda, Matrix<const T> x, const double* statistics, bool logarithm, Matrix<T> out) {
  for_each_row(cuda.stream, x.rows, SoftmaxOfShard<T>{x, statistics, logarithm, out});
}

template <class T>
void softmax_shard_sums(Cuda cuda, Matrix<const T> y, Matrix<const T> g, bool logarithm, double* sums) {
  for_each_row(cuda.stream, y.rows, SoftmaxShardSums<T>{y, g, logarithm, sums});
}

template <class T>
void softmax_of_shard_backward(Cuda cuda, Matrix<const T> y, Matrix<const T> g, const double* sums, bool logarithm,
                               Matrix<T> out) {
  for_each_row(cuda.stream, y.rows, SoftmaxOfShardBackward<T>{y, g, sums, logarithm, out});
}

#define INSTANTIATE(T)                                                                                 \
  template void softmax_rows(Cuda, Matrix<const T>, SoftmaxRows, Matrix<T>);                           \
  template void softmax_rows_backward(Cuda, Matrix<const T>, Matrix<const T>, SoftmaxRows, Matrix<T>); \
  template void log_softmax_rows(Cuda, Matrix<const T>, Matrix<T>);                                    \
  template void log_softmax_rows_backward(Cuda, Matrix<const T>, Matrix<const T>, Matrix<T>);          \
  template void softmax_of_shard(Cuda, Matrix<const T>, const double*, bool, Matrix<T>);               \
  template void softmax_shard_sums(Cuda, Matrix<const T>, Matrix<const T>, bool, double*);             \
  template void softmax_of_shard_backward(Cuda, Matrix<const T>, Matrix<const T>, const double*, bool, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
