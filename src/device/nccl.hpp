#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>

#include <tartan/base/index.hpp>
#include <tartan/device/device.hpp>

struct ncclComm;

/// NCCL, which moves and adds what lies on devices of several processes, one device each, while their hosts go on.
/// libnccl.so.2 is loaded when it is first asked for.
namespace tartan::device {

/// Whether this build knows NCCL.
bool nccl_built_in() noexcept;
/// Why this process cannot use it; empty where it can.
const std::string& why_no_nccl();

/// What tells a device from all others on all nodes.
using Identity = std::array<std::byte, 16>;
Identity identity(Device device);

/// The numbers that NCCL adds.
enum class Number { int32, int64, float32, float64 };
template <class T>
constexpr Number number_of() {
  if constexpr (std::is_floating_point_v<T>) return sizeof(T) == 4 ? Number::float32 : Number::float64;
  return sizeof(T) == 4 ? Number::int32 : Number::int64;
}

/// A group of processes as NCCL sees it. Each function is called by all of them, with matching arguments, and enqueues
/// its work on cuda::stream(device()); pointers are to memory of that device. Elements have `size` bytes; where counts
/// are given, there is one for each rank. Faults throw CudaError.
class Nccl {
 public:
  using Id = std::array<char, 128>;
  /// Of a group to be made: one process asks for it and tells the others.
  static Id new_id();

  Nccl(Device device, const Id& id, int ranks, int rank);
  ~Nccl();
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;

  Device device() const { return device_; }

  /// `data` of `root` everywhere.
  void broadcast(void* data, std::size_t bytes, int root) const;
  /// `mine` of all ranks, one after the other; it may lie at its own place in `all`.
  void all_gather(const void* mine, void* all, std::span<const Index> counts, std::size_t size) const;
  /// Consecutive pieces of `out` go to the ranks, and come from them into `in`.
  void all_to_all(const void* out, std::span<const Index> send, void* in, std::span<const Index> receive,
                  std::size_t size) const;

  /// Element-wise sums, whose terms NCCL adds in an order of its own; `in` may be `out`.
  void reduce(const void* in, void* out, Index n, Number number, int root) const;
  void all_reduce(const void* in, void* out, Index n, Number number) const;
  /// Rank r gets the sums of its counts[r] elements of `all`.
  void reduce_scatter(const void* all, void* mine, std::span<const Index> counts, Number number) const;

 private:
  Device device_;
  int rank_;
  ncclComm* comm_ = nullptr;
};

}  // namespace tartan::device
