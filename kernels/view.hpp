#pragma once

#include <tartan/base/index.hpp>

struct CUstream_st;  // what a cudaStream_t points to

namespace tartan::kernels {

/// Chooses the kernels that run on the processor, on threads() threads at most; bits do not depend on their number.
struct Cpu {};

/// Chooses the kernels that run on a CUDA device, the calling thread's current one. They are enqueued on `stream` and
/// take pointers to the device's memory; what they enqueue is not done when they return, unless they say so. Where a
/// build has no CUDA there are none: see on(). Faults are thrown as CudaError.
struct Cuda {
  CUstream_st* stream;
};

/// `rows` rows of `columns` elements, `stride` elements apart, in the caller's memory. No alignment is assumed.
template <class T>
struct Matrix {
  T* data;
  Index rows;
  Index columns;
  Index stride;

  constexpr T* row(Index i) const { return data + i * stride; }
  /// Rows `begin` to `end` - 1.
  constexpr Matrix part(Index begin, Index end) const { return {data + begin * stride, end - begin, columns, stride}; }
};

}  // namespace tartan::kernels
