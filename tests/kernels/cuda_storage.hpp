#pragma once

#include "cuda_memory.hpp"
#include "storage.hpp"

namespace tartan::kernels::testing {

/// A copy of a Storage on the device.
template <class T>
class CudaStorage {
 public:
  explicit CudaStorage(const Storage<T>& host)
      : shape_{host.read()}, offset_{host.offset()}, memory_{there(host.memory())} {}

  Matrix<T> view() { return {memory_.data() + offset_, shape_.rows, shape_.columns, shape_.stride}; }
  Matrix<const T> read() const {
    return {std::as_const(memory_).data() + offset_, shape_.rows, shape_.columns, shape_.stride};
  }

  /// The same bits, those between the rows included.
  bool operator==(const Storage<T>& host) const { return same_bits(back(memory_), host.memory()); }

 private:
  Matrix<const T> shape_;
  Index offset_;
  Tensor<T> memory_;
};

}  // namespace tartan::kernels::testing
