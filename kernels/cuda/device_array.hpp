#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

#include <tartan/base/index.hpp>

#include "device/cuda_check.hpp"
#include "device/cuda_runtime.hpp"

namespace tartan::kernels {

/// Workspace of a kernel: `size` elements on the current device, which is that of `stream`, uninitialised, allocated
/// and freed in the stream's order. It may be destroyed while kernels that were enqueued before still use it.
template <class T>
class DeviceArray {
 public:
  DeviceArray(Index size, cudaStream_t stream) : size_{size}, stream_{stream} {
    if (size > 0) {
      void* memory = nullptr;
      check_cuda(cudaMallocFromPoolAsync(&memory, bytes(), device::pool(), stream), "allocating workspace");
      data_ = static_cast<T*>(memory);
    }
  }
  DeviceArray(DeviceArray&& other) noexcept
      : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)}, stream_{other.stream_} {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(stream_, other.stream_);
    return *this;
  }
  ~DeviceArray() {
    if (data_ != nullptr) (void)cudaFreeAsync(data_, stream_);
  }

  /// Frees the memory in the order of `stream` instead, which is after that of the one it was allocated on.
  void free_on(cudaStream_t stream) { stream_ = stream; }

  /// Null where size() is 0.
  T* data() const { return data_; }
  Index size() const { return size_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }

 private:
  T* data_ = nullptr;
  Index size_;
  cudaStream_t stream_;
};

}  // namespace tartan::kernels
