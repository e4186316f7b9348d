#pragma once

#include "kernels/view.hpp"

/// Pieces of the squared error, in double; both devices give the same bits.
namespace tartan::kernels {

/// *out = factor · Σ (x - y)², added by the tree of kernels/sum_tree.hpp and rounded once.
template <class T>
void squared_error_sum(Cpu, const T* x, const T* y, Index n, double factor, T* out);
template <class T>
void squared_error_sum(Cuda, const T* x, const T* y, Index n, double factor, T* out);

/// Its gradient by x: out = 2·factor · *upstream · (x - y), rounded once. `out` may be `x` or `y`.
template <class T>
void squared_error_backward(Cpu, const T* x, const T* y, double factor, const T* upstream, Index n, T* out);
template <class T>
void squared_error_backward(Cuda, const T* x, const T* y, double factor, const T* upstream, Index n, T* out);

}  // namespace tartan::kernels
