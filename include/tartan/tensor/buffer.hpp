#pragma once

#include <cstddef>
#include <memory>

#include <tartan/base/index.hpp>
#include <tartan/device/device.hpp>

namespace tartan {

/// Bytes on one device: owned (aligned to `alignment`, on the CPU in huge pages from 4 MiB up where the system has
/// them) or the caller's. Copies share the bytes; the last owner frees them. On the CPU, freed blocks of 64 KiB and
/// more wait for the next buffer of like size, keep_at_most() bytes of them in a process. On a CUDA device, bytes are
/// allocated and freed in the order of cuda::stream(device). Safe to use from several threads.
class Buffer {
 public:
  static constexpr std::size_t alignment = 64;

  /// No bytes.
  Buffer() = default;
  /// `bytes` uninitialised bytes; throws std::bad_alloc on the CPU, and on a device CudaError, or Error where it is not
  /// there.
  explicit Buffer(Index bytes, Device device = {});
  /// The caller's memory, which must outlive every copy of this buffer.
  static Buffer view(void* data, Index bytes, Device device = {});

  /// How much freed memory of the CPU waits for new buffers: 128 MiB unless set. 0 gives all of it back at once.
  static void keep_at_most(Index bytes);

  std::byte* data() const noexcept { return data_.get(); }
  Index bytes() const noexcept { return bytes_; }
  Device device() const noexcept { return device_; }

 private:
  std::shared_ptr<std::byte> data_;
  Index bytes_ = 0;
  Device device_;
};

}  // namespace tartan
