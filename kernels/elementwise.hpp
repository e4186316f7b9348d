#pragma once

#include <type_traits>

#include "kernels/accumulator.hpp"
#include "kernels/view.hpp"

/// Element-wise pieces on contiguous memory, computed in the accumulator of T; `out` may be an input. Both devices give
/// the same bits.
namespace tartan::kernels {

/// out[i] = value, for every element type.
template <class T>
void fill(Cpu, T* out, Index n, std::type_identity_t<T> value);
template <class T>
void fill(Cuda, T* out, Index n, std::type_identity_t<T> value);
/// out[i] = *value
template <class T>
void repeat(Cpu, const T* value, Index n, T* out);
template <class T>
void repeat(Cuda, const T* value, Index n, T* out);
template <class T>
void add(Cpu, const T* a, const T* b, Index n, T* out);
template <class T>
void add(Cuda, const T* a, const T* b, Index n, T* out);
template <class T>
void multiply(Cpu, const T* a, const T* b, Index n, T* out);
template <class T>
void multiply(Cuda, const T* a, const T* b, Index n, T* out);
/// out = factor · a
template <class T>
void scale(Cpu, const T* a, Accumulator<T> factor, Index n, T* out);
template <class T>
void scale(Cuda, const T* a, Accumulator<T> factor, Index n, T* out);
/// out = a, rounded to T.
template <class T>
void round_to(Cpu, const Accumulator<T>* a, Index n, T* out);
template <class T>
void round_to(Cuda, const Accumulator<T>* a, Index n, T* out);
/// out = a, which no bit is lost of.
template <class T>
void widen(Cpu, const T* a, Index n, Accumulator<T>* out);
template <class T>
void widen(Cuda, const T* a, Index n, Accumulator<T>* out);
/// *out is the sum in double, by the tree of kernels/sum_tree.hpp, rounded once.
template <class T>
void sum(Cpu, const T* a, Index n, T* out);
template <class T>
void sum(Cuda, const T* a, Index n, T* out);
/// *out is Σ a·b in double, by the same tree, for every element type.
template <class T>
void inner_product(Cpu, const T* a, const T* b, Index n, double* out);
template <class T>
void inner_product(Cuda, const T* a, const T* b, Index n, double* out);

}  // namespace tartan::kernels
