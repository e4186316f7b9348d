#pragma once

#include "kernels/accumulator.hpp"
#include "kernels/view.hpp"

/// Optimiser steps on rows: row u of `gradient` belongs to row rows[u] of the others (row u where `rows` is null). They
/// are computed in the accumulator of T, which state is kept in, and weights rounded once.
namespace tartan::kernels {

/// weight -= rate · gradient
template <class T>
void sgd_update(Cpu, const Index* rows, Matrix<const T> gradient, Accumulator<T> rate, Matrix<T> weight);
template <class T>
void sgd_update(Cuda, const Index* rows, Matrix<const T> gradient, Accumulator<T> rate, Matrix<T> weight);

/// g = gradient + decay · weight; buffer = momentum · buffer + kept · g; g = g + momentum · buffer where `nesterov`,
/// else buffer; weight -= rate · g. With momentum 0, `buffer` is not used.
template <class T>
struct MomentumRule {
  Accumulator<T> rate, momentum, kept, decay;
  bool nesterov;
};
template <class T>
void momentum_update(Cpu, const T* gradient, Index n, MomentumRule<T> rule, Accumulator<T>* buffer, T* weight);
template <class T>
void momentum_update(Cuda, const T* gradient, Index n, MomentumRule<T> rule, Accumulator<T>* buffer, T* weight);

/// sum += gradient²; weight -= rate · gradient / (sqrt(sum) + epsilon).
/// Duchi, Hazan, Singer: Adaptive subgradient methods. JMLR 12, 2011; epsilon outside of the root, as PyTorch has it.
template <class T>
void adagrad_update(Cpu, const Index* rows, Matrix<const T> gradient, Accumulator<T> rate, Accumulator<T> epsilon,
                    Matrix<Accumulator<T>> sum, Matrix<T> weight);
template <class T>
void adagrad_update(Cuda, const Index* rows, Matrix<const T> gradient, Accumulator<T> rate, Accumulator<T> epsilon,
                    Matrix<Accumulator<T>> sum, Matrix<T> weight);

/// first = beta1 · first + new1 · gradient; second = beta2 · second + new2 · gradient²;
/// weight -= rate · first / (root_factor · sqrt(second) + epsilon).
template <class T>
struct AdamRule {
  Accumulator<T> rate, beta1, new1, beta2, new2, root_factor, epsilon;
};
template <class T>
void adam_update(Cpu, const Index* rows, Matrix<const T> gradient, AdamRule<T> rule, Matrix<Accumulator<T>> first,
                 Matrix<Accumulator<T>> second, Matrix<T> weight);
template <class T>
void adam_update(Cuda, const Index* rows, Matrix<const T> gradient, AdamRule<T> rule, Matrix<Accumulator<T>> first,
                 Matrix<Accumulator<T>> second, Matrix<T> weight);

/// sums[u] is the sum of squares of row u, in double: leaf_squares() combined as fold_leaves() does, 0 where there are
/// no columns.
template <class T>
void row_squares(Cpu, Matrix<const T> gradient, double* sums);
template <class T>
void row_squares(Cuda, Matrix<const T> gradient, double* sums);

/// The pieces of row_squares() for rows that may be split, as leaf_dots() has them: out[u · L + k],
/// L = ceil(columns / 32), is that of columns 32k to 32k + 31.
template <class T>
void leaf_squares(Cpu, Matrix<const T> gradient, double* out);
template <class T>
void leaf_squares(Cuda, Matrix<const T> gradient, double* out);

/// sums[r] += squares[u] / columns; rates[u] = rate / (sqrt(sums[r]) + epsilon), for u < count and r = rows[u] (u where
/// `rows` is null). Both devices give the same bits.
template <class T>
struct RowwiseRule {
  Accumulator<T> rate, epsilon;
  double columns;
};
template <class T>
void rowwise_rates(Cpu, const Index* rows, const double* squares, Index count, RowwiseRule<T> rule,
                   Accumulator<T>* sums, Accumulator<T>* rates);
template <class T>
void rowwise_rates(Cuda, const Index* rows, const double* squares, Index count, RowwiseRule<T> rule,
                   Accumulator<T>* sums, Accumulator<T>* rates);

/// weight row -= rates[u] · gradient row.
template <class T>
void rowwise_update(Cpu, const Index* rows, Matrix<const T> gradient, const Accumulator<T>* rates, Matrix<T> weight);
template <class T>
void rowwise_update(Cuda, const Index* rows, Matrix<const T> gradient, const Accumulator<T>* rates, Matrix<T> weight);

}  // namespace tartan::kernels
