#include <dlfcn.h>
#include <nccl.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include <tartan/base/error.hpp>

#include "base/fail.hpp"
#include "device/cuda_check.hpp"
#include "device/memory.hpp"
#include "device/nccl.hpp"

namespace tartan::device {
namespace {

/// The functions of libnccl.so.2, which is no dependency of the library: a machine without it runs the same build.
struct Library {
  decltype(&ncclGetErrorString) error_string = nullptr;
  decltype(&ncclGetUniqueId) unique_id = nullptr;
  decltype(&ncclCommInitRank) init_rank = nullptr;
  decltype(&ncclCommDestroy) destroy = nullptr;
  decltype(&ncclGroupStart) group_start = nullptr;
  decltype(&ncclGroupEnd) group_end = nullptr;
  decltype(&ncclSend) send = nullptr;
  decltype(&ncclRecv) receive = nullptr;
  decltype(&ncclBroadcast) broadcast = nullptr;
  decltype(&ncclAllGather) all_gather = nullptr;
  decltype(&ncclReduce) reduce = nullptr;
  decltype(&ncclAllReduce) all_reduce = nullptr;
  decltype(&ncclReduceScatter) reduce_scatter = nullptr;
  std::string missing;
};

Library load() {
  Library library;
  void* handle = RTLD_DEFAULT;  // a program that uses NCCL itself has loaded it
  if (::dlsym(handle, "ncclCommInitRank") == nullptr) {
    handle = ::dlopen("libnccl.so.2", RTLD_NOW);
    if (handle == nullptr) {
      const char* const why = ::dlerror();
      library.missing = fmt::format("NCCL cannot be loaded: {}", why == nullptr ? "libnccl.so.2" : why);
      return library;
    }
  }
  const auto find = [&]<class Function>(Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(handle, name));
    if (function == nullptr) library.missing = fmt::format("this libnccl.so.2 has no {}", name);
  };
  find(library.error_string, "ncclGetErrorString");
  find(library.unique_id, "ncclGetUniqueId");
  find(library.init_rank, "ncclCommInitRank");
  find(library.destroy, "ncclCommDestroy");
  find(library.group_start, "ncclGroupStart");
  find(library.group_end, "ncclGroupEnd");
  find(library.send, "ncclSend");
  find(library.receive, "ncclRecv");
  find(library.broadcast, "ncclBroadcast");
  find(library.all_gather, "ncclAllGather");
  find(library.reduce, "ncclReduce");
  find(library.all_reduce, "ncclAllReduce");
  find(library.reduce_scatter, "ncclReduceScatter");
  return library;
}

const Library& library() {
  static const Library loaded = load();
  return loaded;
}

void check(ncclResult_t status, const char* what) {
  if (status == ncclSuccess) return;
  throw CudaError(fmt::format("{} by NCCL: {} (NCCL_DEBUG=WARN says more)", what, library().error_string(status)));
}

/// What `enqueue` asks for is started as one operation.
template <class Enqueue>
void together(const char* what, const Enqueue& enqueue) {
  check(library().group_start(), what);
  try {
    enqueue();
  } catch (...) {
    (void)library().group_end();  // otherwise all that this thread asks for later waits for it
    throw;
  }
  check(library().group_end(), what);
}

ncclDataType_t type_of(Number number) {
  switch (number) {
    case Number::int32:
      return ncclInt32;
    case Number::int64:
      return ncclInt64;
    case Number::float32:
      return ncclFloat32;
    case Number::float64:
      return ncclFloat64;
  }
  fail("no such type of numbers");
}

std::size_t size_of(Number number) { return number == Number::int32 || number == Number::float32 ? 4 : 8; }

bool all_equal(std::span<const Index> counts) {
  return std::ranges::all_of(counts, [&](Index count) { return count == counts.front(); });
}

/// Calls piece(rank, offset, bytes) for each rank's piece that is not empty.
template <class Piece>
void for_each_piece(std::span<const Index> counts, std::size_t size, const Piece& piece) {
  std::size_t offset = 0;
  for (std::size_t r = 0; r < counts.size(); ++r) {
    const auto bytes = static_cast<std::size_t>(counts[r]) * size;
    if (bytes > 0) piece(static_cast<int>(r), offset, bytes);
    offset += bytes;
  }
}

const char* at(const void* data, std::size_t offset) { return static_cast<const char*>(data) + offset; }
char* at(void* data, std::size_t offset) { return static_cast<char*>(data) + offset; }

}  // namespace

bool nccl_built_in() noexcept { return true; }
const std::string& why_no_nccl() { return library().missing; }

Identity identity(Device device) {
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device.ordinal), "the properties of a device");
  return std::bit_cast<Identity>(properties.uuid);
}

Nccl::Id Nccl::new_id() {
  ncclUniqueId id;
  check(library().unique_id(&id), "an identifier");
  return std::bit_cast<Id>(id);
}

Nccl::Nccl(Device device, const Id& id, int ranks, int rank) : device_{device}, rank_{rank} {
  const Current current(device);
  check(library().init_rank(&comm_, ranks, std::bit_cast<ncclUniqueId>(id), rank), "a communicator");
}

Nccl::~Nccl() {
  try {
    const Current current(device_);
    (void)library().destroy(comm_);
  } catch (const Error&) {
    // The device is gone, and what NCCL has there with it.
  }
}

void Nccl::broadcast(void* data, std::size_t bytes, int root) const {
  if (bytes == 0) return;
  const Current current(device_);
  check(library().broadcast(data, data, bytes, ncclInt8, root, comm_, cuda::stream(device_)), "a broadcast");
}

void Nccl::all_gather(const void* mine, void* all, std::span<const Index> counts, std::size_t size) const {
  const Current current(device_);
  auto* const stream = cuda::stream(device_);
  if (all_equal(counts)) {
    const auto bytes = static_cast<std::size_t>(counts.front()) * size;
    if (bytes > 0) check(library().all_gather(mine, all, bytes, ncclInt8, comm_, stream), "an all-gather");
    return;
  }
  together("an all-gather", [&] {
    for_each_piece(counts, size, [&](int rank, std::size_t offset, std::size_t bytes) {
      const void* const from = rank == rank_ ? mine : at(all, offset);
      check(library().broadcast(from, at(all, offset), bytes, ncclInt8, rank, comm_, stream), "an all-gather");
    });
  });
}

void Nccl::all_to_all(const void* out, std::span<const Index> send, void* in, std::span<const Index> receive,
                      std::size_t size) const {
  const Current current(device_);
  auto* const stream = cuda::stream(device_);
  const char* stays = nullptr;
  together("an exchange", [&] {
    for_each_piece(send, size, [&](int rank, std::size_t offset, std::size_t bytes) {
      if (rank == rank_) {
        stays = at(out, offset);
      } else {
        check(library().send(at(out, offset), bytes, ncclInt8, rank, comm_, stream), "an exchange");
      }
    });
    for_each_piece(receive, size, [&](int rank, std::size_t offset, std::size_t bytes) {
      if (rank != rank_) {
        check(library().receive(at(in, offset), bytes, ncclInt8, rank, comm_, stream), "an exchange");
      } else if (stays != at(in, offset)) {
        check_cuda(cudaMemcpyAsync(at(in, offset), stays, bytes, cudaMemcpyDeviceToDevice, stream), "a copy");
      }
    });
  });
}

void Nccl::reduce(const void* in, void* out, Index n, Number number, int root) const {
  if (n == 0) return;
  const Current current(device_);
  const auto count = static_cast<std::size_t>(n);
  check(library().reduce(in, out, count, type_of(number), ncclSum, root, comm_, cuda::stream(device_)), "a sum");
}

void Nccl::all_reduce(const void* in, void* out, Index n, Number number) const {
  if (n == 0) return;
  const Current current(device_);
  const auto count = static_cast<std::size_t>(n);
  check(library().all_reduce(in, out, count, type_of(number), ncclSum, comm_, cuda::stream(device_)), "a sum");
}

void Nccl::reduce_scatter(const void* all, void* mine, std::span<const Index> counts, Number number) const {
  const Current current(device_);
  auto* const stream = cuda::stream(device_);
  if (all_equal(counts)) {
    const auto count = static_cast<std::size_t>(counts.front());
    if (count > 0) {
      check(library().reduce_scatter(all, mine, count, type_of(number), ncclSum, comm_, stream), "a sum");
    }
    return;
  }
  together("a sum", [&] {
    for_each_piece(counts, size_of(number), [&](int rank, std::size_t offset, std::size_t bytes) {
      check(library().reduce(at(all, offset), mine, bytes / size_of(number), type_of(number), ncclSum, rank, comm_,
                             stream),
            "a sum");
    });
  });
}

}  // namespace tartan::device
