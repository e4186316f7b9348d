
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "base/fail.hpp"
#include "device/cuda_check.hpp"
#include "device/cuda_runtime.hpp"
#include "device/memory.hpp"

namespace tartan {
namespace {

/// What Tartan has on one device.
struct Own {
  cudaStream_t stream = nullptr;
  cudaMemPool_t pool = nullptr;
};

/// The freed device memory that waits for new buffers.
constexpr std::uint64_t kept_bytes = std::uint64_t{1} << 31;

/// Made at the first use of a device and kept to the end of the process: buffers may be freed after any static object.
const Own& own(Device device) {
  static std::mutex mutex;
  static auto& all = *new std::map<int, Own>;
  const std::scoped_lock lock(mutex);
  const auto found = all.find(device.ordinal);
  if (found != all.end()) return found->second;
  device::require_present(device);
  const device::Current current(device);
  Own made;
  check_cuda(cudaStreamCreateWithFlags(&made.stream, cudaStreamNonBlocking), "a stream");
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = device.ordinal;
  check_cuda(cudaMemPoolCreate(&made.pool, &properties), "a memory pool");
  auto threshold = kept_bytes;
  check_cuda(cudaMemPoolSetAttribute(made.pool, cudaMemPoolAttrReleaseThreshold, &threshold), "a memory pool");
  return all.emplace(device.ordinal, made).first->second;
}

/// The caller's streams that this thread is to use.
std::map<int, cudaStream_t>& scoped() {
  thread_local std::map<int, cudaStream_t> streams;
  return streams;
}

/// What is enqueued on `later` from now on waits for what is enqueued on `earlier`.
void order(Device device, cudaStream_t earlier, cudaStream_t later) {
  if (earlier == later) return;
  const device::Current current(device);
  check_cuda(device::order_streams(earlier, later), "the order of two streams");
}

/// Blocks of staged memory that wait for the next use: to lock pages, or to share memory of a device, costs more than
/// to copy them.
class Stages {
 public:
  struct Block {
    Device where;
    std::size_t size;
    std::byte* data;
  };

  static Stages& instance() {
    static auto* const stages = new Stages;
    return *stages;
  }

  Block take(std::size_t bytes, Device where) {
    const std::scoped_lock lock(mutex_);
    auto& free = free_[where.is_cpu() ? -1 : where.ordinal];
    const auto found = free.blocks.lower_bound(bytes);
    if (found != free.blocks.end() && found->first / 2 <= std::max(bytes, least)) {
      const Block block{where, found->first, found->second};
      free.blocks.erase(found);
      free.total -= block.size;
      return block;
    }
    const auto size = std::max(bytes, least);
    void* data = nullptr;
    if (where.is_cpu()) {
      check_cuda(cudaHostAlloc(&data, size, cudaHostAllocPortable), "page-locked memory");
    } else {
      const device::Current current(where);
      check_cuda(cudaMalloc(&data, size), "memory of a CUDA device");
    }
    return {where, size, static_cast<std::byte*>(data)};
  }

  void give(Block block) noexcept {
    const std::scoped_lock lock(mutex_);
    try {
      auto& free = free_[block.where.is_cpu() ? -1 : block.where.ordinal];
      if (free.total + block.size <= kept) {
        free.blocks.emplace(block.size, block.data);
        free.total += block.size;
        return;
      }
    } catch (const std::bad_alloc&) {
    }
    (void)(block.where.is_cpu() ? cudaFreeHost(block.data) : cudaFree(block.data));
  }

 private:
  static constexpr std::size_t least = 4096;
  static constexpr std::size_t kept = std::size_t{1} << 28;
  struct Free {
    std::multimap<std::size_t, std::byte*> blocks;
    std::size_t total = 0;
  };
  std::mutex mutex_;
  std::map<int, Free> free_;  ///< of the host under -1, and of each device
};

}  // namespace

namespace cuda {

bool built_in() noexcept { return true; }

int device_count() noexcept {
  static const int count = [] {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) == cudaSuccess) return devices;
    (void)cudaGetLastError();
    return 0;
  }();
  return count;
}

CUstream_st* stream(Device device) {
  require(!device.is_cpu(), "the processor has no stream");
  const auto& streams = scoped();
  const auto found = streams.find(device.ordinal);
  return found != streams.end() ? found->second : own(device).stream;
}

StreamScope::StreamScope(Device device, CUstream_st* next) : device_{device} {
  if (device.is_cpu()) return;
  before_ = stream(device);
  {
    const device::Current current(device);
    cudaEvent_t event = nullptr;
    check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event");
    const auto code = cudaEventRecord(event, next);  // a stream of another device does not take it
    (void)cudaEventDestroy(event);
    check_cuda(code, "a stream of this device");
  }
  order(device, before_, next);
  scoped()[device.ordinal] = next;
}

StreamScope::~StreamScope() {
  if (device_.is_cpu()) return;
  auto& streams = scoped();
  try {
    order(device_, streams[device_.ordinal], before_);
  } catch (const CudaError&) {
    // A fault of the device: the next call on it reports it.
  }
  if (before_ == own(device_).stream) {
    streams.erase(device_.ordinal);
  } else {
    streams[device_.ordinal] = before_;
  }
}

void synchronize(Device device) {
  if (device.is_cpu()) return;
  const device::Current current(device);
  check_cuda(cudaStreamSynchronize(stream(device)), "a CUDA device");
}

}  // namespace cuda

namespace device {
namespace {

/// Staged memory that enqueued copies still read or write, so that the host need not wait for them.
class UnderWay {
 public:
  static UnderWay& instance() {
    static auto* const under_way = new UnderWay;
    return *under_way;
  }

  void keep(Device device, Staged staged) {
    const std::scoped_lock lock(mutex_);
    kept_.emplace_back(Mark(device), std::move(staged));
    while (!kept_.empty() && kept_.front().first.passed()) kept_.pop_front();
  }

 private:
  std::mutex mutex_;
  std::deque<std::pair<Mark, Staged>> kept_;
};

/// The largest copy from the host that is made from a page-locked copy, for which the host does not wait.
constexpr std::size_t most_uploaded = std::size_t{1} << 25;

}  // namespace

cudaMemPool_t pool() {
  int device = 0;
  check_cuda(cudaGetDevice(&device), "the current device");
  return own(Device::cuda(device)).pool;
}

cudaError_t order_streams(cudaStream_t earlier, cudaStream_t later) noexcept {
  cudaEvent_t event = nullptr;
  auto error = cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  if (error != cudaSuccess) return error;
  error = cudaEventRecord(event, earlier);
  if (error == cudaSuccess) error = cudaStreamWaitEvent(later, event, 0);
  (void)cudaEventDestroy(event);
  return error;
}

Current::Current(Device device) {
  if (device.is_cpu()) return;
  int now = 0;
  check_cuda(cudaGetDevice(&now), "the current device");
  if (now == device.ordinal) return;
  check_cuda(cudaSetDevice(device.ordinal), "the current device");
  before_ = now;
}

Current::~Current() {
  if (before_ >= 0) (void)cudaSetDevice(before_);
}

void require_present(Device device) {
  if (device.is_cpu()) return;
  const int count = cuda::device_count();
  require(count > 0, "{} is not there: this process sees no CUDA device (no driver, or CUDA_VISIBLE_DEVICES hides all)",
          device);
  require(0 <= device.ordinal && device.ordinal < count, "{} is not there: this process sees cuda:0 to cuda:{}", device,
          count - 1);
}

std::byte* allocate(Device device, std::size_t bytes) {
  const auto pool = own(device).pool;
  const Current current(device);
  void* data = nullptr;
  const auto code = cudaMallocFromPoolAsync(&data, bytes, pool, cuda::stream(device));
  check_cuda(code, "memory of a CUDA device");
  return static_cast<std::byte*>(data);
}

void release(Device device, std::byte* data) noexcept {
  try {
    const Current current(device);
    (void)cudaFreeAsync(data, cuda::stream(device));
  } catch (const Error&) {
    // The device is gone, and its memory with it.
  }
}

void copy(Device to, void* target, Device from, const void* source, std::size_t bytes) {
  if (bytes == 0) return;
  if (from.is_cpu() && bytes <= most_uploaded) {
    Staged staged(bytes);
    std::memcpy(staged.data(), source, bytes);
    copy_later(to, target, staged.data(), bytes);
    return give_back_later(to, std::move(staged));
  }
  const Device device = to.is_cpu() ? from : to;
  const Current current(device);
  if (!to.is_cpu() && !from.is_cpu() && to != from) {
    order(from, cuda::stream(from), cuda::stream(to));
    // The way that needs no access of one device to the pools of the other.
    check_cuda(cudaMemcpyPeerAsync(target, to.ordinal, source, from.ordinal, bytes, cuda::stream(to)), "a copy");
    return order(to, cuda::stream(to), cuda::stream(from));
  }
  check_cuda(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDefault, cuda::stream(device)), "a copy");
  if (to.is_cpu() || from.is_cpu()) check_cuda(cudaStreamSynchronize(cuda::stream(device)), "a copy");
}

Staged::Staged(std::size_t bytes, Device where) {
  if (bytes == 0) return;
  const auto block = Stages::instance().take(bytes, where);
  data_ = std::shared_ptr<std::byte>(block.data, [block](std::byte*) { Stages::instance().give(block); });
}

void give_back_later(Device device, Staged staged) { UnderWay::instance().keep(device, std::move(staged)); }

void copy_later(Device device, void* target, const void* source, std::size_t bytes) {
  if (bytes == 0) return;
  const Current current(device);
  check_cuda(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDefault, cuda::stream(device)), "a copy");
}

Mark::Mark(Device device) {
  const Current current(device);
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event");
  event_ = std::shared_ptr<void>(event, [](void* e) { (void)cudaEventDestroy(static_cast<cudaEvent_t>(e)); });
  check_cuda(cudaEventRecord(event, cuda::stream(device)), "an event");
}

void Mark::wait() const {
  if (event_) check_cuda(cudaEventSynchronize(static_cast<cudaEvent_t>(event_.get())), "a CUDA device");
}

bool Mark::passed() const {
  if (!event_) return true;
  const auto code = cudaEventQuery(static_cast<cudaEvent_t>(event_.get()));
  if (code == cudaErrorNotReady) return false;
  check_cuda(code, "a CUDA device");
  return true;
}

}  // namespace device
}  // namespace tartan
