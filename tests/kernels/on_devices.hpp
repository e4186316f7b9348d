#pragma once

#include <cstring>
#include <span>
#include <vector>

#include <tartan/device/cuda.hpp>
#include <tartan/tensor/tensor.hpp>

#include "kernels/on.hpp"

/// Tests that run alike on the processor and on a CUDA device, where there is one.
namespace tartan::kernels::testing {

inline std::vector<Device> devices() {
  std::vector<Device> all{Device{}};
  if (cuda::device_count() > 0) all.push_back(Device::cuda(0));
  return all;
}

template <class T>
Tensor<T> put_on(Device device, const std::vector<T>& values) {
  return Tensor<T>::from(Shape{std::ssize(values)}, std::span<const T>(values)).to(device);
}

template <class T>
std::vector<T> brought_back(const Tensor<T>& values) {
  const auto host = values.to(Device{});
  return {host.span().begin(), host.span().end()};
}

/// The same bits: -0.0 is not 0.0, and NaN is itself.
template <class T>
bool alike(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace tartan::kernels::testing
