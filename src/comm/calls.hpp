#pragma once

#include <algorithm>
#include <array>
#include <climits>
#include <cstddef>
#include <cstring>
#include <span>

#include <tartan/base/half_types.hpp>
#include <tartan/comm/agreement.hpp>
#include <tartan/comm/communicator.hpp>
#include <tartan/comm/recorder.hpp>

#include "comm/layout.hpp"
#include "comm/mpi_call.hpp"

/// What collectives are made of: MPI's name of an element type, calls cut into chunks that its int can count, and the
/// moves themselves, without checks and records.
namespace tartan {

inline constexpr int chunk_tag = 0x7a61;

template <class T>
struct Element;
template <>
struct Element<float> {
  static constexpr const char* name = "float";
  static MPI_Datatype type() { return MPI_FLOAT; }
};
template <>
struct Element<double> {
  static constexpr const char* name = "double";
  static MPI_Datatype type() { return MPI_DOUBLE; }
};
template <>
struct Element<std::int32_t> {
  static constexpr const char* name = "int32";
  static MPI_Datatype type() { return MPI_INT32_T; }
};
template <>
struct Element<std::int64_t> {
  static constexpr const char* name = "int64";
  static MPI_Datatype type() { return MPI_INT64_T; }
};
template <>
struct Element<bfloat16> {
  static constexpr const char* name = "bfloat16";
  static MPI_Datatype type() { return MPI_UINT16_T; }  // MPI moves it and knows no more of it
};
template <>
struct Element<half> {
  static constexpr const char* name = "half";
  static MPI_Datatype type() { return MPI_UINT16_T; }
};
template <>
struct Element<std::byte> {
  static constexpr const char* name = "byte";
  static MPI_Datatype type() { return MPI_BYTE; }
};

/// What every call does before its first message. `bytes` is this rank's share (CommRecord).
template <class Describe>
void enter(const Communicator& communicator, Collective collective, Index bytes, const Describe& describe) {
  if (checks() == Checks::collective) check_collective(communicator, describe);
  if (recording()) record({collective, communicator.name(), communicator.size(), bytes});
}

template <class T>
Index chunk_elements() {
  return std::clamp<Index>(chunk_bytes() / static_cast<Index>(sizeof(T)), 1, INT_MAX);
}

template <class T>
bool fits_one_call(Index elements) {
  return elements <= chunk_elements<T>();
}

/// Calls `body(offset, count)` for consecutive chunks of `n` elements; once where there is none.
template <class T, class Body>
void for_each_chunk(Index n, const Body& body) {
  const Index chunk = chunk_elements<T>();
  Index done = 0;
  do {
    const Index count = std::min(chunk, n - done);
    body(done, static_cast<int>(count));
    done += count;
  } while (done < n);
}

template <class T>
void copy(std::span<const T> from, std::span<T> to) {
  if (!from.empty() && from.data() != to.data()) std::memmove(to.data(), from.data(), from.size_bytes());
}

/// Sends `out` to one rank while receiving `in` from another, in chunks; no message carries nothing.
template <class T>
void exchange(const Communicator& communicator, std::span<const T> out, int to, std::span<T> in, int from,
              const char* name) {
  const Index chunk = chunk_elements<T>();
  const auto post = [&](auto call, auto part, Index offset, int peer, MPI_Request& request) {
    if (offset >= std::ssize(part)) return;
    const int count = static_cast<int>(std::min(chunk, std::ssize(part) - offset));
    check_mpi(call(part.data() + offset, count, Element<T>::type(), peer, chunk_tag, communicator.native(), &request),
              communicator, name);
  };
  for (Index offset = 0; offset < std::max(std::ssize(out), std::ssize(in)); offset += chunk) {
    std::array<MPI_Request, 2> requests{MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    post(MPI_Irecv, in, offset, from, requests[0]);
    post(MPI_Isend, out, offset, to, requests[1]);
    check_mpi(MPI_Waitall(2, requests.data(), MPI_STATUSES_IGNORE), communicator, name);
  }
}

/// Every rank sends outgoing(r) to every rank r and receives incoming(r) from it.
template <class T, class Outgoing, class Incoming>
void exchange_with_all(const Communicator& communicator, const Outgoing& outgoing, const Incoming& incoming,
                       const char* name) {
  const int rank = communicator.rank();
  const int size = communicator.size();
  copy<T>(outgoing(rank), incoming(rank));
  for (int step = 1; step < size; ++step) {
    const int to = (rank + step) % size;
    const int from = (rank - step + size) % size;
    exchange<T>(communicator, outgoing(to), to, incoming(from), from, name);
  }
}

template <class T>
constexpr Index bytes(Index elements) {
  return elements * static_cast<Index>(sizeof(T));
}

/// Rank r contributes its part of `all`, which `mine` is or not, and `root` gets all parts. See Communicator::gather.
template <class T>
void gather_parts(const Communicator& communicator, std::span<const T> mine, std::span<T> all, const Layout& layout,
                  int root, const char* name) {
  const bool is_root = communicator.rank() == root;
  const auto type = Element<T>::type();
  const int count = static_cast<int>(mine.size());
  if (!fits_one_call<T>(layout.total)) {
    if (!is_root) return exchange<T>(communicator, mine, root, {}, root, name);
    const Parts parts(all, layout.counts);
    copy(mine, parts[root]);
    for (int r = 0; r < communicator.size(); ++r) {
      if (r != root) exchange<T>(communicator, {}, r, parts[r], r, name);
    }
    return;
  }
  const bool in_place = is_root && mine.data() == layout.my_part(all).data();
  const void* send = in_place ? MPI_IN_PLACE : mine.data();
  if (layout.equal) {
    check_mpi(MPI_Gather(send, count, type, all.data(), count, type, root, communicator.native()), communicator, name);
  } else {
    MpiCounts ints(layout.counts);
    check_mpi(
        MPI_Gatherv(send, count, type, all.data(), ints.counts(), ints.offsets(), type, root, communicator.native()),
        communicator, name);
  }
}

/// The same to every rank. See Communicator::all_gather.
template <class T>
void all_gather_parts(const Communicator& communicator, std::span<const T> mine, std::span<T> all, const Layout& layout,
                      const char* name) {
  const auto type = Element<T>::type();
  const int count = static_cast<int>(mine.size());
  if (!fits_one_call<T>(layout.total)) {
    const Parts parts(all, layout.counts);
    return exchange_with_all<T>(
        communicator, [&](int) { return mine; }, [&](int r) { return parts[r]; }, name);
  }
  const void* send = mine.data() == layout.my_part(all).data() ? MPI_IN_PLACE : mine.data();
  if (layout.equal) {
    check_mpi(MPI_Allgather(send, count, type, all.data(), count, type, communicator.native()), communicator, name);
  } else {
    MpiCounts ints(layout.counts);
    check_mpi(MPI_Allgatherv(send, count, type, all.data(), ints.counts(), ints.offsets(), type, communicator.native()),
              communicator, name);
  }
}

/// Part r of `out` goes to rank r, and part r of `in` comes from there. See Communicator::all_to_all.
template <class T>
void all_to_all_parts(const Communicator& communicator, std::span<const T> out, std::span<const Index> send_counts,
                      std::span<T> in, std::span<const Index> receive_counts, Index largest, const char* name) {
  if (!fits_one_call<T>(checked_multiply(largest, communicator.size()))) {
    const Parts outgoing(out, send_counts);
    const Parts incoming(in, receive_counts);
    return exchange_with_all<T>(
        communicator, [&](int r) { return outgoing[r]; }, [&](int r) { return incoming[r]; }, name);
  }
  const auto type = Element<T>::type();
  MpiCounts send(send_counts);
  MpiCounts receive(receive_counts);
  check_mpi(MPI_Alltoallv(out.data(), send.counts(), send.offsets(), type, in.data(), receive.counts(),
                          receive.offsets(), type, communicator.native()),
            communicator, name);
}

}  // namespace tartan
