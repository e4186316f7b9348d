#pragma once

#include <cstring>
#include <span>
#include <vector>

#include <tartan/tensor/tensor.hpp>

#include "kernels/on.hpp"

namespace tartan::kernels::testing {

inline Device gpu() { return Device::cuda(0); }

/// A copy of `values` on the device.
template <class T>
Tensor<T> there(const std::vector<T>& values) {
  return Tensor<T>::from(Shape{std::ssize(values)}, std::span<const T>(values)).to(gpu());
}

/// What a tensor on the device holds; waits for what was enqueued.
template <class T>
std::vector<T> back(const Tensor<T>& values) {
  const auto host = values.to(Device{});
  return {host.data(), host.data() + host.elements()};
}

/// The same bits; NaN equals itself and -0.0 is not 0.
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace tartan::kernels::testing
