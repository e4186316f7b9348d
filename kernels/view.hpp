#pragma once

#include <tartan/base/index.hpp>

namespace tartan::kernels {

/// Chooses the kernels that run on the calling thread.
struct Cpu {};

/// `rows` rows of `columns` elements, `stride` elements apart, in the caller's memory. No alignment is assumed.
template <class T>
struct Matrix {
  T* data;
  Index rows;
  Index columns;
  Index stride;

  T* row(Index i) const { return data + i * stride; }
};

}  // namespace tartan::kernels
