#pragma once

#include "kernels/accumulator.hpp"
#include "kernels/view.hpp"

/// LayerNorm and RMSNorm of rows whose columns may be split over ranks. All compute in double and round once; both
/// devices add in orders of their own.
namespace tartan::kernels {

/// What normalisation needs of (a part of) a row: the number of its elements, their mean and the sum of their squared
/// deviations from it; of RMSNorm the mean is taken to be 0.
struct Moments {
  double count;
  double mean;
  double squares;
};

/// moments[i] = those of row i of x, about the row's own mean where `centred`, otherwise about 0.
template <class T>
void row_moments(Cpu, Matrix<const T> x, bool centred, Moments* moments);
template <class T>
void row_moments(Cuda, Matrix<const T> x, bool centred, Moments* moments);

/// out[i] = those of the parts parts[k·rows + i], k < count, together, added in the order of k. Chan, Golub, LeVeque:
/// Updating formulae and a pairwise algorithm for computing sample variances, 1979.
void merge_moments(Cpu, const Moments* parts, Index count, Index rows, Moments* out);
void merge_moments(Cuda, const Moments* parts, Index count, Index rows, Moments* out);

/// x̂ = (x - mean) / sqrt(squares / count + epsilon), by rows.
template <class T>
struct NormalizedRows {
  Matrix<const T> x;
  const Moments* moments;
  double epsilon;
  const T* weight;  ///< of the columns; null: 1
};

/// out = x̂·weight + bias (null: 0).
template <class T>
void normalize_rows(Cpu, NormalizedRows<T> rows, const T* bias, Matrix<T> out);
template <class T>
void normalize_rows(Cuda, NormalizedRows<T> rows, const T* bias, Matrix<T> out);

/// sums[2i] = Σ g·weight and sums[2i + 1] = Σ g·weight·x̂ over row i.
template <class T>
void normalization_sums(Cpu, NormalizedRows<T> rows, Matrix<const T> g, double* sums);
template <class T>
void normalization_sums(Cuda, NormalizedRows<T> rows, Matrix<const T> g, double* sums);

/// The gradient by x: out = (g·weight - (sums[2i] + x̂·sums[2i + 1]) / count) / sqrt(squares / count + epsilon), without
/// sums[2i] unless `centred`. `out` may be g.
template <class T>
void normalize_rows_backward(Cpu, NormalizedRows<T> rows, Matrix<const T> g, const double* sums, bool centred,
                             Matrix<T> out);
template <class T>
void normalize_rows_backward(Cuda, NormalizedRows<T> rows, Matrix<const T> g, const double* sums, bool centred,
                             Matrix<T> out);

/// The gradients by weight and bias: weight[c] = Σ g·x̂ and bias[c] = Σ g over column c; what is null is left out.
template <class T>
void normalization_column_sums(Cpu, NormalizedRows<T> rows, Matrix<const T> g, T* weight, T* bias);
template <class T>
void normalization_column_sums(Cuda, NormalizedRows<T> rows, Matrix<const T> g, T* weight, T* bias);

}  // namespace tartan::kernels
