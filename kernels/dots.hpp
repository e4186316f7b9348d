#pragma once

#include "kernels/view.hpp"

/// Dot products of each row of `a` with its own k = b.rows / a.rows rows of `b`.
namespace tartan::kernels {

/// out[i·k + j] = <row i of a, row i·k + j of b>. Column c goes to lane c mod 16, each lane is summed in order, and the
/// lanes are added pairwise (lane l and l + 8, then l + 4, ...): the bits depend on the rows' values alone.
template <class T>
void row_dots(Cpu, Matrix<const T> a, Matrix<const T> b, T* out);

/// The adjoint, for upstream gradients g of out: row i of grad_a is the left fold over j of g[i·k + j] · row i·k + j of
/// b
/// (-0.0 where k = 0), and row i·k + j of grad_b is g[i·k + j] · row i of a.
template <class T>
void row_dots_backward(Cpu, Matrix<const T> a, Matrix<const T> b, const T* g, Matrix<T> grad_a, Matrix<T> grad_b);

}  // namespace tartan::kernels
