#pragma once

#include <utility>

#include <tartan/device/cuda.hpp>
#include <tartan_build/cuda.hpp>

#include "device/memory.hpp"
#include "kernels/view.hpp"

namespace tartan::kernels {

/// call(Cpu{}) or call(Cuda{stream}), the calling thread's stream of that device, which is the current one for the
/// while. Throws Error where `device` is not there, as all CUDA devices in a build without CUDA.
template <class Call>
decltype(auto) on(Device device, Call&& call) {
  if constexpr (built_with_cuda) {
    if (!device.is_cpu()) {
      const device::Current current(device);
      return std::forward<Call>(call)(Cuda{cuda::stream(device)});
    }
  } else {
    device::require_present(device);
  }
  return std::forward<Call>(call)(Cpu{});
}

}  // namespace tartan::kernels
