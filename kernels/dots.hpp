#pragma once

#include "kernels/accumulator.hpp"
#include "kernels/view.hpp"

/// Dot products of each row of `a` with its own k = b.rows / a.rows rows of `b`, computed in the accumulator of T.
namespace tartan::kernels {

/// out[i·k + j] = <row i of a, row i·k + j of b>. Column c goes to lane c mod 16, each lane is summed in order, and the
/// lanes are added pairwise (lane l and l + 8, then l + 4, ...): the bits depend on the rows' values alone.
template <class T>
void row_dots(Cpu, Matrix<const T> a, Matrix<const T> b, T* out);
template <class T>
void row_dots(Cuda, Matrix<const T> a, Matrix<const T> b, T* out);

/// The adjoint, for upstream gradients g of out: row i of grad_a is the left fold over j of
/// g[i·k + j] · row i·k + j of b (-0.0 where k = 0), and row i·k + j of grad_b is g[i·k + j] · row i of a.
template <class T>
void row_dots_backward(Cpu, Matrix<const T> a, Matrix<const T> b, const T* g, Matrix<T> grad_a, Matrix<T> grad_b);
template <class T>
void row_dots_backward(Cuda, Matrix<const T> a, Matrix<const T> b, const T* g, Matrix<T> grad_a, Matrix<T> grad_b);

/// The pieces of row_dots() for rows that may be split: out[r · L + k], L = ceil(columns / 32), is the sum over columns
/// 32k to 32k + 31 of row r of `b` against its row of `a`. Products of columns beyond the last count as -0.0; lane l is
/// added to lane l + 16, then to l + 8, ... Columns split at multiples of 32 have the leaves of the whole, which are
/// not rounded to T: their sum is.
template <class T>
void leaf_dots(Cpu, Matrix<const T> a, Matrix<const T> b, Accumulator<T>* out);
template <class T>
void leaf_dots(Cuda, Matrix<const T> a, Matrix<const T> b, Accumulator<T>* out);

/// out[i] for i < count is the sum of leaves[i · leaves_per_sum], ...: left folds of groups of 32, whose sums are
/// left-folded in groups of 32, repeatedly, until one remains; -0.0 where leaves_per_sum is 0. Only the
/// result is rounded to T. `leaves` may not be `out`.
template <class T>
void fold_leaves(Cpu, const Accumulator<T>* leaves, Index count, Index leaves_per_sum, T* out);
template <class T>
void fold_leaves(Cuda, const Accumulator<T>* leaves, Index count, Index leaves_per_sum, T* out);

}  // namespace tartan::kernels
