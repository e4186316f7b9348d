#pragma once

#include "kernels/accumulator.hpp"
#include "kernels/view.hpp"

/// Pieces of losses. All compute in double with the same elementary functions: both devices give the same bits.
namespace tartan::kernels {

/// *out = factor · Σ max(x, 0) - x·y + log(1 + exp(-|x|)): the binary cross-entropy in nats of logits x against labels
/// y in [0, 1], added by the tree of kernels/sum_tree.hpp and rounded once.
template <class T>
void binary_cross_entropy_sum(Cpu, const T* x, const T* y, Index n, double factor, T* out);
template <class T>
void binary_cross_entropy_sum(Cuda, const T* x, const T* y, Index n, double factor, T* out);

/// Its gradient: out = (factor · *upstream) · (sigmoid(x) - y), rounded once after factor · *upstream, which is one of
/// T's accumulator. `out` may be `x` or `y`.
template <class T>
void binary_cross_entropy_backward(Cpu, const T* x, const T* y, Accumulator<T> factor, const T* upstream, Index n,
                                   T* out);
template <class T>
void binary_cross_entropy_backward(Cuda, const T* x, const T* y, Accumulator<T> factor, const T* upstream, Index n,
                                   T* out);

}  // namespace tartan::kernels
