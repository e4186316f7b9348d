#pragma once

#include <tartan/base/box.hpp>

namespace tartan {

/// Copies the elements of `part` from `source`, the row-major elements of `source_box`, to `target`, those of
/// `target_box`. `part` lies within both boxes; all are in global indices. The two buffers do not overlap.
template <class T>
void copy_box(const T* source, const Box& source_box, T* target, const Box& target_box, const Box& part);

/// The same, adding to what `target` holds.
template <class T>
void add_box(const T* source, const Box& source_box, T* target, const Box& target_box, const Box& part);

}  // namespace tartan
