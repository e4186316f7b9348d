#pragma once

#include "kernels/view.hpp"

/// Element-wise pieces on contiguous memory; `out` may be an input.
namespace tartan::kernels {

/// Every out[i] = value.
template <class T>
void fill(Cpu, T* out, Index n, T value);
template <class T>
void fill(Cuda, T* out, Index n, T value);
template <class T>
void add(Cpu, const T* a, const T* b, Index n, T* out);
template <class T>
void multiply(Cpu, const T* a, const T* b, Index n, T* out);
/// out = factor · a
template <class T>
void scale(Cpu, const T* a, T factor, Index n, T* out);
/// The sum in order, accumulated in double.
template <class T>
double sum(Cpu, const T* a, Index n);

}  // namespace tartan::kernels
