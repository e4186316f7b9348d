#pragma once

#include <span>

#include <tartan/base/box.hpp>

#include "kernels/accumulator.hpp"
#include "kernels/view.hpp"

/// Copies of boxes of row-major tensors: how parts are packed, unpacked and cut.
namespace tartan::kernels {

/// Copies the elements of `part` from `source`, the row-major elements of `source_box`, to `target`, those of
/// `target_box`. `part` lies within both boxes; all are in global indices. The two buffers do not overlap.
template <class T>
void copy_box(Cpu, const T* source, const Box& source_box, T* target, const Box& target_box, const Box& part);
template <class T>
void copy_box(Cuda, const T* source, const Box& source_box, T* target, const Box& target_box, const Box& part);

/// The same, adding to what `target` holds.
template <class T>
void add_box(Cpu, const T* source, const Box& source_box, Accumulator<T>* target, const Box& target_box,
             const Box& part);
template <class T>
void add_box(Cuda, const T* source, const Box& source_box, Accumulator<T>* target, const Box& target_box,
             const Box& part);

/// Cuts the columns of `matrix`, which has `rows` rows, into blocks of the given widths: each block becomes a matrix of
/// its own, one after the other in `blocks`.
template <class T>
void split_columns(Cpu, const T* matrix, Index rows, std::span<const Index> widths, T* blocks);
template <class T>
void split_columns(Cuda, const T* matrix, Index rows, std::span<const Index> widths, T* blocks);

/// The inverse.
template <class T>
void join_columns(Cpu, const T* blocks, Index rows, std::span<const Index> widths, T* matrix);
template <class T>
void join_columns(Cuda, const T* blocks, Index rows, std::span<const Index> widths, T* matrix);

}  // namespace tartan::kernels
