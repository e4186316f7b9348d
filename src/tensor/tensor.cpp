#include <tartan/tensor/tensor.hpp>

#include <algorithm>
#include <atomic>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "device/memory.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/on.hpp"
#include "tensor/host_access.hpp"

namespace tartan {
namespace {

std::atomic<bool> host_reads{false};

}  // namespace

bool host_reads_devices() noexcept { return host_reads.load(std::memory_order_relaxed); }
void let_host_read_devices(bool allowed) noexcept { host_reads = allowed; }

template <class T>
Tensor<T> Tensor<T>::from(Shape shape, std::span<const T> values) {
  require(shape.elements() == static_cast<Index>(values.size()), "{} values were given for the shape {}", values.size(),
          shape);
  Tensor result(std::move(shape));
  std::ranges::copy(values, result.data());
  return result;
}

template <class T>
Tensor<T> Tensor<T>::view(Shape shape, T* data, Device device) {
  Tensor result;
  result.buffer_ = Buffer::view(data, checked_multiply(shape.elements(), static_cast<Index>(sizeof(T))), device);
  result.shape_ = std::move(shape);
  return result;
}

template <class T>
void Tensor<T>::fill(T value) {
  kernels::on(device(), [&](auto where) { kernels::fill(where, data(), elements(), value); });
}

template <class T>
Tensor<T> Tensor<T>::clone() const {
  if (device().is_cpu()) return from(shape_, span());
  Tensor result(shape_, device());
  device::copy(device(), result.data(), device(), data(), static_cast<std::size_t>(buffer_.bytes()));
  return result;
}

template <class T>
Tensor<T> Tensor<T>::to(Device device) const {
  if (device == this->device()) return *this;
  Tensor result(shape_, device);
  device::copy(device, result.data(), this->device(), data(), static_cast<std::size_t>(buffer_.bytes()));
  return result;
}

template <class T>
void Tensor<T>::require_host_reads() const {
  if (host_reads_devices()) return;
  fail("the elements of a tensor of the shape {} lie on {}: to(Device{{}}) brings them to the host", shape_, device());
}

template <class T>
Tensor<T> Tensor<T>::reshaped(Shape shape) const {
  require(shape.elements() == elements(), "{} elements of the shape {} cannot take the shape {}", elements(), shape_,
          shape);
  Tensor result = *this;
  result.shape_ = std::move(shape);
  return result;
}

#define INSTANTIATE(T) template class Tensor<T>;
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
