#pragma once

#include <tartan/base/index.hpp>

namespace tartan::kernels {

/// Chooses the kernels that run on the processor, on threads() threads at most; bits do not depend on their number.
struct Cpu {};

/// `rows` rows of `columns` elements, `stride` elements apart, in the caller's memory. No alignment is assumed.
template <class T>
struct Matrix {
  T* data;
  Index rows;
  Index columns;
  Index stride;

  T* row(Index i) const { return data + i * stride; }
  /// Rows `begin` to `end` - 1.
  Matrix part(Index begin, Index end) const { return {data + begin * stride, end - begin, columns, stride}; }
};

}  // namespace tartan::kernels
