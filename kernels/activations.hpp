#pragma once

#include "kernels/accumulator.hpp"
#include "kernels/view.hpp"

/// Element-wise functions of layers on contiguous memory; `out` may be an input. Both devices give the same bits.
namespace tartan::kernels {

/// out = max(x, 0), NaN where x is.
template <class T>
void relu(Cpu, const T* x, Index n, T* out);
template <class T>
void relu(Cuda, const T* x, Index n, T* out);
/// out = g where y = relu(x) > 0 (or is NaN), otherwise 0.
template <class T>
void relu_backward(Cpu, const T* y, const T* g, Index n, T* out);
template <class T>
void relu_backward(Cuda, const T* y, const T* g, Index n, T* out);

}  // namespace tartan::kernels
