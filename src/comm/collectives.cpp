#include <algorithm>
#include <array>
#include <climits>
#include <cstddef>
#include <cstring>
#include <vector>

#include <tartan/comm/agreement.hpp>
#include <tartan/comm/communicator.hpp>
#include <tartan/comm/recorder.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "comm/layout.hpp"
#include "comm/mpi_call.hpp"

namespace tartan {
namespace {

constexpr int chunk_tag = 0x7a61;

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
struct Element<std::byte> {
  static constexpr const char* name = "byte";
  static MPI_Datatype type() { return MPI_BYTE; }
};

MPI_Op operation(Reduction reduction) {
  return reduction == Reduction::sum ? MPI_SUM : reduction == Reduction::max ? MPI_MAX : MPI_MIN;
}

const char* to_string(Reduction reduction) {
  return reduction == Reduction::sum ? "sum" : reduction == Reduction::max ? "max" : "min";
}

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

template <class T>
void reduce_chunks(const Communicator& communicator, std::span<const T> in, T* out, int root, Reduction reduction,
                   const char* name) {
  const bool is_root = communicator.rank() == root;
  const bool in_place = is_root && in.data() == out;
  for_each_chunk<T>(std::ssize(in), [&](Index offset, int count) {
    check_mpi(MPI_Reduce(in_place ? MPI_IN_PLACE : in.data() + offset, is_root ? out + offset : nullptr, count,
                         Element<T>::type(), operation(reduction), root, communicator.native()),
              communicator, name);
  });
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

}  // namespace

void Communicator::barrier() const {
  require_usable();
  enter(*this, Collective::barrier, 0, [] { return std::string("barrier()"); });
  if (size() > 1) check_mpi(MPI_Barrier(native()), *this, "barrier");
}

template <class T>
void Communicator::broadcast(std::span<T> data, int root) const {
  require_usable();
  require_root(*this, Collective::broadcast, root);
  const Index n = std::ssize(data);
  enter(*this, Collective::broadcast, rank() == root ? (size() - 1) * bytes<T>(n) : 0,
        [&] { return fmt::format("broadcast({}, {}, root {})", Element<T>::name, n, root); });
  if (size() == 1) return;
  for_each_chunk<T>(n, [&](Index offset, int count) {
    check_mpi(MPI_Bcast(data.data() + offset, count, Element<T>::type(), root, native()), *this, "broadcast");
  });
}

template <class T>
void Communicator::reduce(std::span<const T> in, std::span<T> out, int root, Reduction reduction) const {
  require_usable();
  require_root(*this, Collective::reduce, root);
  const Index n = std::ssize(in);
  if (rank() == root) require_size(*this, Collective::reduce, "the output", out.size(), n);
  enter(*this, Collective::reduce, rank() == root ? 0 : bytes<T>(n),
        [&] { return fmt::format("reduce({}, {}, {}, root {})", Element<T>::name, n, to_string(reduction), root); });
  if (size() == 1) return copy(in, out);
  reduce_chunks(*this, in, out.data(), root, reduction, "reduce");
}

template <class T>
void Communicator::all_reduce(std::span<const T> in, std::span<T> out, Reduction reduction) const {
  require_usable();
  const Index n = std::ssize(in);
  require_size(*this, Collective::all_reduce, "the output", out.size(), n);
  enter(*this, Collective::all_reduce, rank() == 0 ? (size() - 1) * bytes<T>(n) : bytes<T>(n),
        [&] { return fmt::format("all_reduce({}, {}, {})", Element<T>::name, n, to_string(reduction)); });
  if (size() == 1) return copy(in, out);
  const bool in_place = in.data() == out.data();
  for_each_chunk<T>(n, [&](Index offset, int count) {
    check_mpi(MPI_Allreduce(in_place ? MPI_IN_PLACE : in.data() + offset, out.data() + offset, count,
                            Element<T>::type(), operation(reduction), native()),
              *this, "all_reduce");
  });
}

template <class T>
void Communicator::gather(std::span<const T> mine, std::span<T> all, std::span<const Index> counts, int root) const {
  require_usable();
  require_root(*this, Collective::gather, root);
  const Layout layout(*this, Collective::gather, counts);
  require_size(*this, Collective::gather, "this rank's part", mine.size(), layout.count());
  const bool is_root = rank() == root;
  if (is_root) require_size(*this, Collective::gather, "the whole", all.size(), layout.total);
  enter(*this, Collective::gather, is_root ? 0 : bytes<T>(layout.count()),
        [&] { return fmt::format("gather({}, root {}, {})", Element<T>::name, root, layout.describe()); });
  if (size() == 1) return copy(mine, all);

  const auto type = Element<T>::type();
  const int count = static_cast<int>(mine.size());
  if (!fits_one_call<T>(layout.total)) {
    if (!is_root) return exchange<T>(*this, mine, root, {}, root, "gather");
    const Parts parts(all, counts);
    copy(mine, parts[root]);
    for (int r = 0; r < size(); ++r) {
      if (r != root) exchange<T>(*this, {}, r, parts[r], r, "gather");
    }
    return;
  }
  const bool in_place = is_root && mine.data() == layout.my_part(all).data();
  const void* send = in_place ? MPI_IN_PLACE : mine.data();
  if (layout.equal) {
    check_mpi(MPI_Gather(send, count, type, all.data(), count, type, root, native()), *this, "gather");
  } else {
    MpiCounts ints(counts);
    check_mpi(MPI_Gatherv(send, count, type, all.data(), ints.counts(), ints.offsets(), type, root, native()), *this,
              "gather");
  }
}

template <class T>
void Communicator::scatter(std::span<const T> all, std::span<T> mine, std::span<const Index> counts, int root) const {
  require_usable();
  require_root(*this, Collective::scatter, root);
  const Layout layout(*this, Collective::scatter, counts);
  require_size(*this, Collective::scatter, "this rank's part", mine.size(), layout.count());
  const bool is_root = rank() == root;
  if (is_root) require_size(*this, Collective::scatter, "the whole", all.size(), layout.total);
  enter(*this, Collective::scatter, is_root ? bytes<T>(layout.total - layout.count()) : 0,
        [&] { return fmt::format("scatter({}, root {}, {})", Element<T>::name, root, layout.describe()); });
  if (size() == 1) return copy(all, mine);

  const auto type = Element<T>::type();
  const int count = static_cast<int>(mine.size());
  if (!fits_one_call<T>(layout.total)) {
    if (!is_root) return exchange<T>(*this, {}, root, mine, root, "scatter");
    const Parts parts(all, counts);
    copy(parts[root], mine);
    for (int r = 0; r < size(); ++r) {
      if (r != root) exchange<T>(*this, parts[r], r, {}, r, "scatter");
    }
    return;
  }
  const bool in_place = is_root && mine.data() == layout.my_part(all).data();
  void* receive = in_place ? MPI_IN_PLACE : mine.data();
  if (layout.equal) {
    check_mpi(MPI_Scatter(all.data(), count, type, receive, count, type, root, native()), *this, "scatter");
  } else {
    MpiCounts ints(counts);
    check_mpi(MPI_Scatterv(all.data(), ints.counts(), ints.offsets(), type, receive, count, type, root, native()),
              *this, "scatter");
  }
}

template <class T>
void Communicator::all_gather(std::span<const T> mine, std::span<T> all, std::span<const Index> counts) const {
  require_usable();
  const Layout layout(*this, Collective::all_gather, counts);
  require_size(*this, Collective::all_gather, "this rank's part", mine.size(), layout.count());
  require_size(*this, Collective::all_gather, "the whole", all.size(), layout.total);
  enter(*this, Collective::all_gather, (size() - 1) * bytes<T>(layout.count()),
        [&] { return fmt::format("all_gather({}, {})", Element<T>::name, layout.describe()); });
  if (size() == 1) return copy(mine, all);

  const auto type = Element<T>::type();
  const int count = static_cast<int>(mine.size());
  if (!fits_one_call<T>(layout.total)) {
    const Parts parts(all, counts);
    return exchange_with_all<T>(
        *this, [&](int) { return mine; }, [&](int r) { return parts[r]; }, "all_gather");
  }
  const void* send = mine.data() == layout.my_part(all).data() ? MPI_IN_PLACE : mine.data();
  if (layout.equal) {
    check_mpi(MPI_Allgather(send, count, type, all.data(), count, type, native()), *this, "all_gather");
  } else {
    MpiCounts ints(counts);
    check_mpi(MPI_Allgatherv(send, count, type, all.data(), ints.counts(), ints.offsets(), type, native()), *this,
              "all_gather");
  }
}

template <class T>
void Communicator::reduce_scatter(std::span<const T> all, std::span<T> mine, std::span<const Index> counts) const {
  require_usable();
  const Layout layout(*this, Collective::reduce_scatter, counts);
  require_size(*this, Collective::reduce_scatter, "this rank's part", mine.size(), layout.count());
  require_size(*this, Collective::reduce_scatter, "the whole", all.size(), layout.total);
  enter(*this, Collective::reduce_scatter, bytes<T>(layout.total - layout.count()),
        [&] { return fmt::format("reduce_scatter({}, {})", Element<T>::name, layout.describe()); });
  if (size() == 1) return copy(all, mine);

  const auto type = Element<T>::type();
  if (!fits_one_call<T>(layout.total)) {
    const Parts parts(all, counts);
    for (int r = 0; r < size(); ++r) {
      reduce_chunks<T>(*this, parts[r], mine.data(), r, Reduction::sum, "reduce_scatter");
    }
  } else if (layout.equal) {
    check_mpi(MPI_Reduce_scatter_block(all.data(), mine.data(), static_cast<int>(mine.size()), type, MPI_SUM, native()),
              *this, "reduce_scatter");
  } else {
    MpiCounts ints(counts);
    check_mpi(MPI_Reduce_scatter(all.data(), mine.data(), ints.counts(), type, MPI_SUM, native()), *this,
              "reduce_scatter");
  }
}

template <class T>
void Communicator::all_to_all(std::span<const T> out, std::span<const Index> send_counts, std::span<T> in,
                              std::span<const Index> receive_counts, Index largest) const {
  require_usable();
  const Layout sent(*this, Collective::all_to_all, send_counts);
  const Layout received(*this, Collective::all_to_all, receive_counts);
  require_size(*this, Collective::all_to_all, "the output", out.size(), sent.total);
  require_size(*this, Collective::all_to_all, "the input", in.size(), received.total);
  require(std::max(std::ranges::max(send_counts), std::ranges::max(receive_counts)) <= largest,
          "all_to_all on \"{}\", rank {}: a count exceeds the largest count {}", name(), rank(), largest);
  require(sent.count() == received.count(), "all_to_all on \"{}\": rank {} sends {} elements to itself and receives {}",
          name(), rank(), sent.count(), received.count());
  enter(*this, Collective::all_to_all, bytes<T>(sent.total - sent.count()),
        [&] { return fmt::format("all_to_all({}, largest {})", Element<T>::name, largest); });
  if (size() == 1) return copy(out, in);

  if (!fits_one_call<T>(checked_multiply(largest, size()))) {
    const Parts outgoing(out, send_counts);
    const Parts incoming(in, receive_counts);
    return exchange_with_all<T>(
        *this, [&](int r) { return outgoing[r]; }, [&](int r) { return incoming[r]; }, "all_to_all");
  }
  const auto type = Element<T>::type();
  MpiCounts send(send_counts);
  MpiCounts receive(receive_counts);
  check_mpi(MPI_Alltoallv(out.data(), send.counts(), send.offsets(), type, in.data(), receive.counts(),
                          receive.offsets(), type, native()),
            *this, "all_to_all");
}

template <class T>
void Communicator::all_to_all(std::span<const T> out, std::span<T> in, Index count) const {
  require_usable();
  require(count >= 0, "all_to_all on \"{}\": the count is {}", name(), count);
  const Index total = checked_multiply(count, size());
  require_size(*this, Collective::all_to_all, "the output", out.size(), total);
  require_size(*this, Collective::all_to_all, "the input", in.size(), total);
  enter(*this, Collective::all_to_all, bytes<T>(total - count),
        [&] { return fmt::format("all_to_all({}, count {})", Element<T>::name, count); });
  if (size() == 1) return copy(out, in);

  if (!fits_one_call<T>(total)) {
    const auto part = [&](auto all, int r) {
      return all.subspan(static_cast<std::size_t>(r * count), static_cast<std::size_t>(count));
    };
    return exchange_with_all<T>(
        *this, [&](int r) { return part(out, r); }, [&](int r) { return part(in, r); }, "all_to_all");
  }
  const auto type = Element<T>::type();
  check_mpi(MPI_Alltoall(out.data(), static_cast<int>(count), type, in.data(), static_cast<int>(count), type, native()),
            *this, "all_to_all");
}

#define TARTAN_INSTANTIATE_REDUCTIONS(T)                                                         \
  template void Communicator::reduce<T>(std::span<const T>, std::span<T>, int, Reduction) const; \
  template void Communicator::all_reduce<T>(std::span<const T>, std::span<T>, Reduction) const;  \
  template void Communicator::reduce_scatter<T>(std::span<const T>, std::span<T>, std::span<const Index>) const;

#define TARTAN_INSTANTIATE_MOVES(T)                                                                            \
  template void Communicator::broadcast<T>(std::span<T>, int) const;                                           \
  template void Communicator::gather<T>(std::span<const T>, std::span<T>, std::span<const Index>, int) const;  \
  template void Communicator::scatter<T>(std::span<const T>, std::span<T>, std::span<const Index>, int) const; \
  template void Communicator::all_gather<T>(std::span<const T>, std::span<T>, std::span<const Index>) const;   \
  template void Communicator::all_to_all<T>(std::span<const T>, std::span<const Index>, std::span<T>,          \
                                            std::span<const Index>, Index) const;                              \
  template void Communicator::all_to_all<T>(std::span<const T>, std::span<T>, Index) const;

TARTAN_FOR_EACH_ELEMENT_TYPE(TARTAN_INSTANTIATE_REDUCTIONS)
TARTAN_FOR_EACH_ELEMENT_TYPE(TARTAN_INSTANTIATE_MOVES)
TARTAN_INSTANTIATE_MOVES(std::byte)

}  // namespace tartan
