#include <mpi.h>
#include <nccl.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "internal.hpp"

// Work is done as soon as it is asked for, after what its stream had before, on copies in the host's memory; what comes
// is written at its turn on the stream. MPI's profiled names, so that it is not counted as the program's.

struct ncclComm {
  MPI_Comm mpi;
  int rank;
  int ranks;
  int device;
};

namespace simulated_cuda {
namespace {

using Bytes = std::vector<char>;

/// The group that is open, what was asked for in it, its messages, and what is to be done with them when all are there.
int depth = 0;
std::vector<std::function<void()>> waiting;
std::vector<MPI_Request> requests;
std::vector<std::function<void()>> arrivals;

std::size_t size_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
      return 1;
    case ncclInt32:
    case ncclFloat32:
      return 4;
    default:
      return 8;
  }
}

/// What `stream` finds at `data` when it has done what it was given.
Bytes read(CUstream_st& stream, const void* data, std::size_t bytes) {
  finish(stream);
  memory::open();
  memory::check(data, bytes, device_of(stream), "NCCL");
  const auto* const begin = static_cast<const char*>(data);
  Bytes copy(begin, begin + bytes);
  memory::close();
  return copy;
}

void write(CUstream_st& stream, void* data, Bytes bytes) {
  const int device = device_of(stream);
  enqueue(stream, [data, device, bytes = std::move(bytes)] {
    memory::check(data, bytes.size(), device, "NCCL");
    std::memcpy(data, bytes.data(), bytes.size());
  });
}

/// What TARTAN_SIMULATED_NCCL_FAILS names is what cannot be done.
bool told_to_fail(std::string_view step) {
  const char* const text = std::getenv("TARTAN_SIMULATED_NCCL_FAILS");
  return text != nullptr && text == step;
}

template <class T>
void add(const Bytes& terms, Bytes& sums) {
  for (std::size_t i = 0; i < sums.size(); i += sizeof(T)) {
    T a, b;
    std::memcpy(&a, sums.data() + i, sizeof(T));
    std::memcpy(&b, terms.data() + i, sizeof(T));
    a += b;
    std::memcpy(sums.data() + i, &a, sizeof(T));
  }
}

/// Every rank's bytes, one after the other.
std::vector<Bytes> all_of(const ncclComm& comm, const Bytes& mine) {
  const auto n = mine.size();
  Bytes all(n * static_cast<std::size_t>(comm.ranks));
  PMPI_Allgather(mine.data(), static_cast<int>(n), MPI_BYTE, all.data(), static_cast<int>(n), MPI_BYTE, comm.mpi);
  std::vector<Bytes> parts;
  for (auto part = all.begin(); parts.size() < static_cast<std::size_t>(comm.ranks); part += static_cast<long>(n)) {
    parts.emplace_back(part, part + static_cast<long>(n));
  }
  return parts;
}

/// From the last rank to the first: NCCL promises no order.
Bytes sum(const ncclComm& comm, const Bytes& mine, ncclDataType_t type) {
  const auto parts = all_of(comm, mine);
  Bytes sums = parts.back();
  for (auto part = parts.rbegin() + 1; part != parts.rend(); ++part) {
    switch (type) {
      case ncclInt32:
        add<std::int32_t>(*part, sums);
        break;
      case ncclInt64:
        add<std::int64_t>(*part, sums);
        break;
      case ncclFloat32:
        add<float>(*part, sums);
        break;
      case ncclFloat64:
        add<double>(*part, sums);
        break;
      default:
        give_up("NCCL: a sum of bytes");
    }
  }
  return sums;
}

ncclResult_t end_group() {
  if (--depth > 0) return ncclSuccess;
  for (const auto& run : std::exchange(waiting, {})) run();
  PMPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  requests.clear();
  for (const auto& arrive : std::exchange(arrivals, {})) arrive();
  return ncclSuccess;
}

/// A group of its own unless it is in one.
template <class Run>
ncclResult_t ask(ncclComm* comm, cudaStream_t handle, const Run& run) {
  const Call call;
  auto* const stream = find(handle);
  if (comm == nullptr || stream == nullptr) return ncclInvalidArgument;
  if (device_of(*stream) != comm->device || current_device() != comm->device) return ncclInvalidUsage;
  ++depth;
  waiting.emplace_back([=] { run(*comm, *stream); });
  return end_group();
}

}  // namespace
}  // namespace simulated_cuda

using namespace simulated_cuda;

extern "C" {

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclInvalidArgument:
      return "invalid argument";
    default:
      return "invalid usage";
  }
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (told_to_fail("id")) return ncclSystemError;
  static int count = 0;
  *id = {};
  std::array<int, 2> content{0, ++count};
  PMPI_Comm_rank(MPI_COMM_WORLD, content.data());
  std::memcpy(id->internal, content.data(), sizeof(content));
  return ncclSuccess;
}

/// The ranks tell the maker of the id who they are, and learn it from there.
ncclResult_t ncclCommInitRank(ncclComm_t* made, int ranks, ncclUniqueId id, int rank) {
  const Call call;
  std::array<int, 2> content{};
  std::memcpy(content.data(), id.internal, sizeof(content));
  const auto [maker, count] = content;
  const int tag = 1 + count % 10000;
  std::array<int, 3> me{0, rank, current_device()};
  PMPI_Comm_rank(MPI_COMM_WORLD, me.data());
  const auto n = static_cast<std::size_t>(ranks);
  std::vector<int> members(2 * n);  // their ranks in the world, then their devices
  MPI_Request sent = MPI_REQUEST_NULL;
  PMPI_Isend(me.data(), 3, MPI_INT, maker, tag, MPI_COMM_WORLD, &sent);
  if (me[0] == maker) {
    for (std::size_t i = 0; i < n; ++i) {
      std::array<int, 3> other{};
      PMPI_Recv(other.data(), 3, MPI_INT, MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      members[static_cast<std::size_t>(other[1])] = other[0];
      members[n + static_cast<std::size_t>(other[1])] = other[2];
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (members[i] != maker) {
        PMPI_Send(members.data(), 2 * ranks, MPI_INT, members[i], tag + 10000, MPI_COMM_WORLD);
      }
    }
  } else {
    PMPI_Recv(members.data(), 2 * ranks, MPI_INT, maker, tag + 10000, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  PMPI_Wait(&sent, MPI_STATUS_IGNORE);
  std::vector<int> devices(members.begin() + ranks, members.end());
  std::sort(devices.begin(), devices.end());
  if (told_to_fail("init")) {
    if (rank == ranks - 1) return ncclSystemError;
    *made = new ncclComm{MPI_COMM_NULL, rank, ranks, current_device()};
    return ncclSuccess;
  }
  if (std::adjacent_find(devices.begin(), devices.end()) != devices.end()) return ncclInvalidUsage;
  MPI_Group world = MPI_GROUP_NULL;
  MPI_Group group = MPI_GROUP_NULL;
  MPI_Comm comm = MPI_COMM_NULL;
  PMPI_Comm_group(MPI_COMM_WORLD, &world);
  PMPI_Group_incl(world, ranks, members.data(), &group);
  PMPI_Comm_create_group(MPI_COMM_WORLD, group, tag, &comm);
  PMPI_Group_free(&group);
  PMPI_Group_free(&world);
  *made = new ncclComm{comm, rank, ranks, current_device()};
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (comm->mpi != MPI_COMM_NULL) PMPI_Comm_free(&comm->mpi);
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++depth;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  const Call call;
  return end_group();
}

ncclResult_t ncclSend(const void* data, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return ask(comm, stream, [=](ncclComm& c, CUstream_st& s) {
    auto kept = std::make_shared<Bytes>(read(s, data, count * size_of(type)));
    PMPI_Isend(kept->data(), static_cast<int>(kept->size()), MPI_BYTE, peer, 0, c.mpi, &requests.emplace_back());
    arrivals.emplace_back([kept] {});
  });
}

ncclResult_t ncclRecv(void* data, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return ask(comm, stream, [=](ncclComm& c, CUstream_st& s) {
    auto kept = std::make_shared<Bytes>(count * size_of(type));
    PMPI_Irecv(kept->data(), static_cast<int>(kept->size()), MPI_BYTE, peer, 0, c.mpi, &requests.emplace_back());
    arrivals.emplace_back([kept, data, &s] { write(s, data, std::move(*kept)); });
  });
}

ncclResult_t ncclBroadcast(const void* in, void* out, std::size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
  return ask(comm, stream, [=](ncclComm& c, CUstream_st& s) {
    Bytes bytes(count * size_of(type));
    if (c.rank == root) bytes = read(s, in, bytes.size());
    PMPI_Bcast(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, root, c.mpi);
    write(s, out, std::move(bytes));
  });
}

ncclResult_t ncclAllGather(const void* in, void* out, std::size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
  return ask(comm, stream, [=](ncclComm& c, CUstream_st& s) {
    auto to = static_cast<char*>(out);
    for (auto& part : all_of(c, read(s, in, count * size_of(type)))) {
      const auto bytes = part.size();
      write(s, to, std::move(part));
      to += bytes;
    }
  });
}

ncclResult_t ncclReduce(const void* in, void* out, std::size_t count, ncclDataType_t type, ncclRedOp_t, int root,
                        ncclComm_t comm, cudaStream_t stream) {
  return ask(comm, stream, [=](ncclComm& c, CUstream_st& s) {
    auto sums = sum(c, read(s, in, count * size_of(type)), type);
    if (c.rank == root) write(s, out, std::move(sums));
  });
}

ncclResult_t ncclAllReduce(const void* in, void* out, std::size_t count, ncclDataType_t type, ncclRedOp_t,
                           ncclComm_t comm, cudaStream_t stream) {
  return ask(comm, stream,
             [=](ncclComm& c, CUstream_st& s) { write(s, out, sum(c, read(s, in, count * size_of(type)), type)); });
}

ncclResult_t ncclReduceScatter(const void* in, void* out, std::size_t count, ncclDataType_t type, ncclRedOp_t,
                               ncclComm_t comm, cudaStream_t stream) {
  return ask(comm, stream, [=](ncclComm& c, CUstream_st& s) {
    const auto bytes = count * size_of(type);
    const auto sums = sum(c, read(s, in, bytes * static_cast<std::size_t>(c.ranks)), type);
    const auto mine = sums.begin() + static_cast<long>(bytes) * c.rank;
    write(s, out, Bytes(mine, mine + static_cast<long>(bytes)));
  });
}

}  // extern "C"
