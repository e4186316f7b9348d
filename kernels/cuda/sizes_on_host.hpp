#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/plan_arrays.hpp"

namespace tartan::kernels {

/// A copy of a plan's sizes for the host, enqueued when it is made.
class SizesOnHost {
 public:
  /// Copies *sizes on `stream`, which belongs to the current device.
  SizesOnHost(const PlanSizes* sizes, cudaStream_t stream);
  ~SizesOnHost();
  SizesOnHost(const SizesOnHost&) = delete;
  SizesOnHost& operator=(const SizesOnHost&) = delete;

  /// Waits for the copy alone.
  const PlanSizes& wait() const;
  /// Lets what is enqueued on `stream` from now on wait for the copy, and so for what was enqueued before it.
  void order_before(cudaStream_t stream) const;
  int device() const;

 private:
  struct Slot;
  class Pool;
  Slot* slot_;
};

}  // namespace tartan::kernels
