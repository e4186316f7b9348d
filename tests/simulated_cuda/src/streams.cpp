#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "internal.hpp"

// What is enqueued waits until somebody has to wait for it. Streams that are not ordered with the one that is waited
// for run before it, newest first, or not at all: a coin decides, so that both kinds of missing order show.

using Clock = std::chrono::steady_clock;

namespace simulated_cuda {
namespace {

struct Record {
  CUstream_st* stream;
  bool done = false;
  Clock::time_point when{};
};

}  // namespace
}  // namespace simulated_cuda

using simulated_cuda::Record;

struct CUevent_st {
  int device;
  bool timed;
  std::shared_ptr<Record> record;
};

struct CUstream_st {
  struct Work {
    std::function<void()> run;
    std::shared_ptr<Record> after;  // to wait for, in place of run
  };
  int device;
  bool destroyed = false;
  std::deque<Work> work{};
};

namespace simulated_cuda {
namespace {

std::recursive_mutex mutex;
thread_local int device_of_thread = 0;
thread_local cudaError_t last_error = cudaSuccess;

struct Streams {
  std::array<CUstream_st*, most_devices> defaults{};
  std::vector<CUstream_st*> all;  // oldest first, with those that were destroyed and have work left
  std::map<cudaEvent_t, std::unique_ptr<CUevent_st>> events;
  std::minstd_rand coin{static_cast<unsigned>(setting("TARTAN_SIMULATED_CUDA_SEED", 1))};
};

Streams& streams() {
  static auto* const it = new Streams;
  return *it;
}

CUstream_st* add_stream(int device) {
  auto& all = streams().all;
  std::erase_if(all, [](CUstream_st* stream) {  // handles stay different from those of new streams
    return stream->destroyed && stream->work.empty();
  });
  all.push_back(new CUstream_st{.device = device});
  return all.back();
}

/// Does the next thing that a stream with work needs.
void step(CUstream_st& stream) {
  auto& next = stream.work.front();
  if (next.after != nullptr && !next.after->done) return step(*next.after->stream);
  const auto run = std::move(next.run);
  stream.work.pop_front();
  if (run == nullptr) return;
  memory::open();
  run();
}

CUevent_st* find_event(cudaEvent_t event) {
  const auto found = streams().events.find(event);
  return found == streams().events.end() ? nullptr : found->second.get();
}

void run_others(const CUstream_st& stream) {
  if ((streams().coin() >> 8) % 2 == 0) return;
  const auto all = streams().all;
  for (auto other = all.rbegin(); other != all.rend(); ++other) {
    if (*other != &stream) finish(**other);
  }
}

}  // namespace

Call::Call() {
  mutex.lock();
  memory::close();
}
Call::~Call() {
  memory::close();
  mutex.unlock();
}

int current_device() { return device_of_thread; }

cudaError_t failed(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}

CUstream_st* find(cudaStream_t stream) {
  if (stream == nullptr) {
    auto*& own = streams().defaults[static_cast<std::size_t>(device_of_thread)];
    if (own == nullptr) own = add_stream(device_of_thread);
    return own;
  }
  const auto& all = streams().all;
  const auto found = std::find(all.begin(), all.end(), stream);
  return found == all.end() || stream->destroyed ? nullptr : stream;
}

int device_of(const CUstream_st& stream) { return stream.device; }

void enqueue(CUstream_st& stream, std::function<void()> work) {
  constexpr std::size_t most = 1000;  // then the host waits, as on a device
  while (stream.work.size() >= most) step(stream);
  stream.work.push_back({std::move(work), nullptr});
}

void finish(CUstream_st& stream) {
  while (!stream.work.empty()) step(stream);
}

void finish_all() {
  const auto all = streams().all;
  for (auto stream = all.rbegin(); stream != all.rend(); ++stream) finish(**stream);
}

}  // namespace simulated_cuda

using namespace simulated_cuda;

extern "C" {

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }

cudaError_t cudaGetDevice(int* device) {
  if (devices() == 0) return failed(cudaErrorNoDevice);
  *device = device_of_thread;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= devices()) return failed(cudaErrorInvalidDevice);
  device_of_thread = device;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  const Call call;
  const auto all = streams().all;
  for (auto stream = all.rbegin(); stream != all.rend(); ++stream) {
    if ((*stream)->device == device_of_thread) finish(**stream);
  }
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  const Call call;
  if (devices() == 0) return failed(cudaErrorNoDevice);
  *stream = add_stream(device_of_thread);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Call call;
  if (stream == nullptr || find(stream) == nullptr) return failed(cudaErrorInvalidResourceHandle);
  stream->destroyed = true;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  const Call call;
  auto* stream = find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  run_others(*stream);
  finish(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const Call call;
  auto* stream = find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (stream->work.empty()) return cudaSuccess;
  step(*stream);
  return cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  const Call call;
  auto* stream = find(handle);
  const auto* found = find_event(event);
  if (stream == nullptr || found == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (found->record != nullptr) stream->work.push_back({nullptr, found->record});
  return cudaSuccess;
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int* device) {
  const Call call;
  const auto* stream = find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  *device = stream->device;
  return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* argument) {
  const Call call;
  auto* stream = find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  enqueue(*stream, [=] {
    memory::close();
    function(argument);
  });
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const Call call;
  if (devices() == 0) return failed(cudaErrorNoDevice);
  auto made =
      std::make_unique<CUevent_st>(CUevent_st{device_of_thread, (flags & cudaEventDisableTiming) == 0, nullptr});
  *event = made.get();
  streams().events[*event] = std::move(made);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Call call;
  return streams().events.erase(event) == 1 ? cudaSuccess : failed(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const Call call;
  auto* stream = find(handle);
  auto* found = find_event(event);
  if (stream == nullptr || found == nullptr || found->device != stream->device) {
    return failed(cudaErrorInvalidResourceHandle);
  }
  auto record = std::make_shared<Record>(Record{stream});
  found->record = record;
  enqueue(*stream, [record] {
    record->done = true;
    record->when = Clock::now();
  });
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Call call;
  const auto* found = find_event(event);
  if (found == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (found->record == nullptr || found->record->done) return cudaSuccess;
  step(*found->record->stream);
  return cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Call call;
  const auto* found = find_event(event);
  if (found == nullptr) return failed(cudaErrorInvalidResourceHandle);
  const auto record = found->record;
  if (record == nullptr || record->done) return cudaSuccess;
  run_others(*record->stream);
  while (!record->done) step(*record->stream);
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const Call call;
  const auto* first = find_event(start);
  const auto* last = find_event(end);
  if (first == nullptr || last == nullptr || !first->timed || !last->timed || first->record == nullptr ||
      last->record == nullptr) {
    return failed(cudaErrorInvalidResourceHandle);
  }
  if (!first->record->done || !last->record->done) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(last->record->when - first->record->when).count();
  return cudaSuccess;
}

}  // extern "C"
