#pragma once

#include "kernels/view.hpp"

/// Optimiser steps on rows: row u of `gradient` belongs to row rows[u] of the others (row u where `rows` is null).
namespace tartan::kernels {

/// weight -= rate · gradient
template <class T>
void sgd_update(Cpu, const Index* rows, Matrix<const T> gradient, T rate, Matrix<T> weight);

/// sum += gradient²; weight -= rate · gradient / (sqrt(sum) + epsilon).
/// Duchi, Hazan, Singer: Adaptive subgradient methods. JMLR 12, 2011; epsilon outside of the root, as PyTorch has it.
template <class T>
void adagrad_update(Cpu, const Index* rows, Matrix<const T> gradient, T rate, T epsilon, Matrix<T> sum,
                    Matrix<T> weight);

}  // namespace tartan::kernels
