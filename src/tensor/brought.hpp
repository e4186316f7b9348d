#pragma once

#include <span>
#include <vector>

#include <tartan/tensor/tensor.hpp>

namespace tartan {

/// Numbers of the host where kernels on `device` read them: the very memory on the CPU, which has to outlive the
/// result, and a copy elsewhere.
template <class T>
Tensor<T> brought(std::span<const T> numbers, Device device) {
  return Tensor<T>::view(Shape{std::ssize(numbers)}, const_cast<T*>(numbers.data())).to(device);
}
template <class T>
Tensor<T> brought(const std::vector<T>& numbers, Device device) {
  return brought(std::span<const T>(numbers), device);
}

}  // namespace tartan
