#pragma once

#include "kernels/accumulator.hpp"
#include "kernels/view.hpp"

/// Softmax by rows, computed in double and rounded once. Outputs may be inputs.
namespace tartan::kernels {

struct SoftmaxRows {
  double factor = 1;  ///< the numbers are factor·x
  /// Row i sees its first first + (i mod period) + 1 columns only, the others are 0: the causal mask of matrices of
  /// `period` rows each, one below the other. 0: every row sees all columns.
  Index period = 0;
  Index first = 0;

  constexpr Index visible(Index row, Index columns) const {
    if (period == 0) return columns;
    const Index seen = first + row % period + 1;
    return seen < columns ? seen : columns;
  }
};

/// out = exp(factor·x) / Σ exp(factor·x), by rows. A row of -infinity is NaN.
template <class T>
void softmax_rows(Cpu, Matrix<const T> x, SoftmaxRows rows, Matrix<T> out);
template <class T>
void softmax_rows(Cuda, Matrix<const T> x, SoftmaxRows rows, Matrix<T> out);
/// Its gradient by x: out = factor·y·(g - Σ g·y), y the result.
template <class T>
void softmax_rows_backward(Cpu, Matrix<const T> y, Matrix<const T> g, SoftmaxRows rows, Matrix<T> out);
template <class T>
void softmax_rows_backward(Cuda, Matrix<const T> y, Matrix<const T> g, SoftmaxRows rows, Matrix<T> out);

/// out = x - log Σ exp(x), by rows.
template <class T>
void log_softmax_rows(Cpu, Matrix<const T> x, Matrix<T> out);
template <class T>
void log_softmax_rows(Cuda, Matrix<const T> x, Matrix<T> out);
/// Its gradient by x: out = g - exp(y)·Σ g, y the result.
template <class T>
void log_softmax_rows_backward(Cpu, Matrix<const T> y, Matrix<const T> g, Matrix<T> out);
template <class T>
void log_softmax_rows_backward(Cuda, Matrix<const T> y, Matrix<const T> g, Matrix<T> out);

/// Either of them, where x has some columns of each row: of row i of all columns, `statistics` has the greatest and
/// the sum of exp(x - greatest), two doubles.
template <class T>
void softmax_of_shard(Cpu, Matrix<const T> x, const double* statistics, bool logarithm, Matrix<T> out);
template <class T>
void softmax_of_shard(Cuda, Matrix<const T> x, const double* statistics, bool logarithm, Matrix<T> out);
/// sums[i] = Σ g·y of the columns at hand; of the logarithm Σ g.
template <class T>
void softmax_shard_sums(Cpu, Matrix<const T> y, Matrix<const T> g, bool logarithm, double* sums);
template <class T>
void softmax_shard_sums(Cuda, Matrix<const T> y, Matrix<const T> g, bool logarithm, double* sums);
/// The gradient by x, of the sums of all columns.
template <class T>
void softmax_of_shard_backward(Cpu, Matrix<const T> y, Matrix<const T> g, const double* sums, bool logarithm,
                               Matrix<T> out);
template <class T>
void softmax_of_shard_backward(Cuda, Matrix<const T> y, Matrix<const T> g, const double* sums, bool logarithm,
                               Matrix<T> out);

}  // namespace tartan::kernels
