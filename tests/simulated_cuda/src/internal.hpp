#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace simulated_cuda {

// ---- report.cpp

/// Prints the text and a backtrace, and ends the process: for what has no error code, because on a device it would be
/// silent or undefined.
[[noreturn]] void give_up(const std::string& text);
/// The function that holds this address, with its library.
std::string describe(const void* code);
/// The whole number in an environment variable.
std::uint64_t setting(const char* name, std::uint64_t otherwise);

// ---- memory.cpp

/// The devices' memory: a range of addresses that the host may not touch but while it is open.
namespace memory {

void open();
void close();
bool contains(const void* address);

/// Null where the limit of the device does not allow it. Filled with 0xff bytes; allocated and freed in two steps each,
/// since both calls have their turn on a stream.
void* reserve(int device, std::size_t bytes);
void make_usable(void* block);
/// As memory of cudaMalloc is, which other processes may open.
void make_shareable(void* block);
bool is_shareable(const void* address);
void start_free(void* block);
void finish_free(void* block);
/// Whether a block that has not been freed starts there.
bool is_block(const void* address);
/// Device of the block around this address, or -1.
int device_of(const void* address);
std::size_t used(int device);
std::size_t limit();

void add_pinned(void* address, std::size_t bytes);
void remove_pinned(void* address);
bool is_pinned(const void* address);
bool pinned_starts(const void* address);

/// Gives up unless [address, address + bytes) lies in one usable block, of `device` unless that is -1. `who` is for the
/// message.
void check(const void* address, std::size_t bytes, int device, const char* who);
/// What keeps `device` (-1: any) from accessing these bytes, page-locked ones of the host included; empty if nothing
/// does.
std::string fault(const void* address, std::size_t bytes, int device);

}  // namespace memory

// ---- streams.cpp

/// Holds the lock of the simulation while a function of CUDA runs, and keeps the devices' memory closed after it.
class Call {
 public:
  Call();
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
};

inline constexpr int most_devices = 16;
int devices();
/// The calling thread's.
int current_device();

/// Keeps the error for cudaGetLastError() and returns it.
cudaError_t failed(cudaError_t error);

/// The stream that a handle (null: the current device's default stream) stands for; null where it has been destroyed.
CUstream_st* find(cudaStream_t stream);
int device_of(const CUstream_st& stream);
void enqueue(CUstream_st& stream, std::function<void()> work);
void finish(CUstream_st& stream);
void finish_all();

// ---- simt.cpp

struct Launch {
  const void* function;
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes;
  int device;
  void (*call)(const void*);
  std::shared_ptr<const void> arguments;
  std::size_t argument_bytes;
};
void run(const Launch& launch);

// ---- faults.cpp

/// The range of the devices' memory, and its handler for accesses of the host: installed whenever the memory is closed,
/// since test frameworks and MPI libraries install their own.
void watch(const void* begin, const void* end);
void stay_on_watch();

}  // namespace simulated_cuda
