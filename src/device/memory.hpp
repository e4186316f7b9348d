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

/// Page-locked memory, from which and to which devices copy at full speed while the host goes on. Freed blocks are kept
/// for the next one.
class Pinned {
 public:
  Pinned() = default;
  explicit Pinned(std::size_t bytes);
  std::byte* data() const { return data_.get(); }

 private:
  std::shared_ptr<std::byte> data_;
};

/// Enqueues a copy between pinned memory and a device; neither may be touched until the stream has been waited for.
void copy_later(Device device, void* target, const void* source, std::size_t bytes);

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
