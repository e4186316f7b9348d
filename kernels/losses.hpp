#pragma once

#include "kernels/view.hpp"

/// Pieces of losses. Both kernels compute in double with the same elementary functions on every machine.
namespace tartan::kernels {

/// Σ max(x, 0) - x·y + log(1 + exp(-|x|)): the binary cross-entropy in nats of logits x against labels y in [0, 1].
template <class T>
double binary_cross_entropy_sum(Cpu, const T* x, const T* y, Index n);

/// Its gradient: out = scale · (sigmoid(x) - y), rounded once. `out` may be `x` or `y`.
template <class T>
void binary_cross_entropy_backward(Cpu, const T* x, const T* y, T scale, Index n, T* out);

}  // namespace tartan::kernels
