#pragma once

#include "kernels/accumulator.hpp"
#include "kernels/view.hpp"

/// Element-wise functions of layers on contiguous memory; `out` may be an input.
namespace tartan::kernels {

/// out = max(x, 0), NaN where x is. Both devices give the same bits.
template <class T>
void relu(Cpu, const T* x, Index n, T* out);
template <class T>
void relu(Cuda, const T* x, Index n, T* out);
/// out = g where y = relu(x) > 0 (or is NaN), otherwise 0. Both devices give the same bits.
template <class T>
void relu_backward(Cpu, const T* y, const T* g, Index n, T* out);
template <class T>
void relu_backward(Cuda, const T* y, const T* g, Index n, T* out);

/// The functions of kernels/smooth_activations.hpp.
enum class Activation { gelu, gelu_tanh, silu };

/// out = f(x), computed in double and rounded once. Devices differ in the last place of gelu's erfc only.
template <class T>
void activate(Cpu, Activation f, const T* x, Index n, T* out);
template <class T>
void activate(Cuda, Activation f, const T* x, Index n, T* out);
/// out = f'(x)·g, likewise.
template <class T>
void activate_backward(Cpu, Activation f, const T* x, const T* g, Index n, T* out);
template <class T>
void activate_backward(Cuda, Activation f, const T* x, const T* g, Index n, T* out);

}  // namespace tartan::kernels
