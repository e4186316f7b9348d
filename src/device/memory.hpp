#pragma once

#include <cstddef>
#include <memory>

#include <tartan/device/cuda.hpp>

/// Memory of CUDA devices. Work is ordered by cuda::stream(device) of the calling thread; faults throw CudaError. A
/// build without CUDA throws Error from each function that is given a device.
namespace tartan::device {

/// Makes `device` the calling thread's current device for a while; does nothing for the CPU.
class Current {
 public:
  explicit Current(Device device);
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  int before_ = -1;
};

/// Throws Error where this process has no such device.
void require_present(Device device);

/// `bytes` > 0 uninitialised bytes for what is enqueued from now on.
std::byte* allocate(Device device, std::size_t bytes);
/// Frees them when what was enqueued before is done.
void release(Device device, std::byte* data) noexcept;

/// Copies between devices, or between one and the host. `source` may be overwritten when it returns, and a target on
/// the host is filled then.
void copy(Device to, void* target, Device from, const void* source, std::size_t bytes);

/// Memory that messages pass through. On the host it is page-locked: devices copy from and to it at full speed while
/// the host goes on. On a device it is for an MPI library that takes it; such libraries open memory of cudaMalloc to
/// other processes and to network adapters, but not that of the pools which allocate() takes from. Freed blocks are
/// kept for the next one.
class Staged {
 public:
  Staged() = default;
  explicit Staged(std::size_t bytes, Device where = {});
  std::byte* data() const { return data_.get(); }

 private:
  std::shared_ptr<std::byte> data_;
};

/// Enqueues a copy between staged memory and a device; neither may be touched until the stream has been waited for.
void copy_later(Device device, void* target, const void* source, std::size_t bytes);

/// Gives `staged` back when what is enqueued on the device's stream by now is done.
void give_back_later(Device device, Staged staged);

/// A point in what is enqueued on a device's stream.
class Mark {
 public:
  Mark() = default;
  explicit Mark(Device device);
  /// Waits until all that was enqueued before it is done.
  void wait() const;
  /// Whether all that is done.
  bool passed() const;

 private:
  std::shared_ptr<void> event_;
};

}  // namespace tartan::device
