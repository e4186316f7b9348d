#pragma once

#include <tartan/device/device.hpp>

struct CUstream_st;  ///< what a cudaStream_t points to

/// What a program may want to know of, and tell, the CUDA devices. No call changes the calling thread's current device.
/// Faults of the CUDA runtime are thrown as CudaError. In a build without CUDA there are no devices.
namespace tartan::cuda {

/// Whether this build has CUDA kernels.
bool built_in() noexcept;

/// The devices that this process sees: 0 without a driver, or in a build without CUDA.
int device_count() noexcept;

/// The stream that orders what this thread does on `device`: that of the innermost StreamScope, otherwise Tartan's own,
/// a non-blocking stream that all threads share. Throws Error where there is no such device, and for the CPU.
CUstream_st* stream(Device device);

/// While it lives, this thread's work on `device` is enqueued on the caller's stream: after what was enqueued before,
/// and what is enqueued later comes after it. The stream must outlive the scope. Does nothing where `device` is the
/// CPU. Throws CudaError where `next` is no stream of that device.
class StreamScope {
 public:
  StreamScope(Device device, CUstream_st* next);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  Device device_;
  CUstream_st* before_ = nullptr;
};

/// Waits until everything that was enqueued on stream(device) is done. Nothing to wait for on the CPU.
void synchronize(Device device);

}  // namespace tartan::cuda
