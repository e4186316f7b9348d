
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

/// Page-locked blocks that wait for the next use. At most `kept` bytes of them; to lock pages costs more than to copy
/// them.
class Pins {
 public:
  struct Block {
    std::size_t size;
    std::byte* data;
  };

  static Pins& instance() {
    static auto* const pins = new Pins;
    return *pins;
  }

  Block take(std::size_t bytes) {
    const std::scoped_lock lock(mutex_);
    const auto found = free_.lower_bound(bytes);
    if (found != free_.end() && found->first / 2 <= std::max(bytes, least)) {
      const Block block{found->first, found->second};
      free_.erase(found);
      total_ -= block.size;
      return block;
    }
    const auto size = std::max(bytes, least);
    void* data = nullptr;
    check_cuda(cudaHostAlloc(&data, size, cudaHostAllocPortable), "page-locked memory");
    return {size, static_cast<std::byte*>(data)};
  }

  void give(Block block) noexcept {
    const std::scoped_lock lock(mutex_);
    try {
      if (total_ + block.size <= kept) {
        free_.emplace(block.size, block.data);
        total_ += block.size;
        return;
      }
    } catch (const std::bad_alloc&) {
    }
    (void)cudaFreeHost(block.data);
  }

 private:
  static constexpr std::size_t least = 4096;
  static constexpr std::size_t kept = std::size_t{1} << 28;
  std::mutex mutex_;
  std::multimap<std::size_t, std::byte*> free_;
  std::size_t total_ = 0;
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
  const auto& streams = scoped();
  const auto found = streams.find(device.ordinal);
  return found != streams.end() ? found->second : own(device).stream;
}

StreamScope::StreamScope(Device device, CUstream_st* next) : device_{device}, before_{stream(device)} {
  order(device, before_, next);
  scoped()[device.ordinal] = next;
}

StreamScope::~StreamScope() {
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

/// Copies to devices that are under way from page-locked copies of their sources, so that the host need not wait.
class Uploads {
 public:
  static constexpr std::size_t most = std::size_t{1} << 25;

  static Uploads& instance() {
    static auto* const uploads = new Uploads;
    return *uploads;
  }

  void start(Device device, void* target, const void* source, std::size_t bytes) {
    const Pinned pinned(bytes);
    std::memcpy(pinned.data(), source, bytes);
    copy_later(device, target, pinned.data(), bytes);
    const std::scoped_lock lock(mutex_);
    under_way_.emplace_back(Mark(device), pinned);
    while (!under_way_.empty() && under_way_.front().first.passed()) under_way_.pop_front();
  }

 private:
  std::mutex mutex_;
  std::deque<std::pair<Mark, Pinned>> under_way_;
};

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
  if (from.is_cpu() && bytes <= Uploads::most) return Uploads::instance().start(to, target, source, bytes);
  const Device device = to.is_cpu() ? from : to;
  const Current current(device);
  const bool across = !to.is_cpu() && !from.is_cpu() && to != from;
  if (across) order(from, cuda::stream(from), cuda::stream(to));
  check_cuda(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDefault, cuda::stream(device)), "a copy");
  if (across) order(to, cuda::stream(to), cuda::stream(from));
  if (to.is_cpu() || from.is_cpu()) check_cuda(cudaStreamSynchronize(cuda::stream(device)), "a copy");
}

Pinned::Pinned(std::size_t bytes) {
  if (bytes == 0) return;
  const auto block = Pins::instance().take(bytes);
  data_ = std::shared_ptr<std::byte>(block.data, [block](std::byte*) { Pins::instance().give(block); });
}

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
