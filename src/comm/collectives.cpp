#include <algorithm>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "comm/calls.hpp"
#include "comm/entries.hpp"

namespace tartan {

void Communicator::barrier() const {
  require_usable();
  enter(*this, Collective::barrier, 0, [] { return std::string("barrier()"); });
  if (size() > 1) check_mpi(MPI_Barrier(native()), *this, "barrier");
}

template <class T>
void Communicator::broadcast(std::span<T> data, int root) const {
  const Index n = std::ssize(data);
  enter_broadcast<T>(*this, n, root);
  if (size() == 1) return;
  for_each_chunk<T>(n, [&](Index offset, int count) {
    check_mpi(MPI_Bcast(data.data() + offset, count, Element<T>::type(), root, native()), *this, "broadcast");
  });
}

template <class T>
void Communicator::gather(std::span<const T> mine, std::span<T> all, std::span<const Index> counts, int root) const {
  const auto layout = enter_gather<T>(*this, mine.size(), all.size(), counts, root);
  if (size() == 1) return copy(mine, all);
  gather_parts(*this, mine, all, layout, root, "gather");
}

template <class T>
void Communicator::scatter(std::span<const T> all, std::span<T> mine, std::span<const Index> counts, int root) const {
  const auto layout = enter_scatter<T>(*this, all.size(), mine.size(), counts, root);
  if (size() == 1) return copy(all, mine);

  const bool is_root = rank() == root;
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
  const auto layout = enter_all_gather<T>(*this, mine.size(), all.size(), counts);
  if (size() == 1) return copy(mine, all);
  all_gather_parts(*this, mine, all, layout, "all_gather");
}

template <class T>
void Communicator::all_to_all(std::span<const T> out, std::span<const Index> send_counts, std::span<T> in,
                              std::span<const Index> receive_counts, Index largest) const {
  enter_all_to_all<T>(*this, out.size(), send_counts, in.size(), receive_counts, largest);
  if (size() == 1) return copy(out, in);
  all_to_all_parts(*this, out, send_counts, in, receive_counts, largest, "all_to_all");
}

template <class T>
void Communicator::all_to_all(std::span<const T> out, std::span<T> in, Index count) const {
  enter_all_to_all<T>(*this, out.size(), in.size(), count);
  if (size() == 1) return copy(out, in);

  if (!fits_one_call<T>(std::ssize(out))) {
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

#define TARTAN_INSTANTIATE_MOVES(T)                                                                            \
  template void Communicator::broadcast<T>(std::span<T>, int) const;                                           \
  template void Communicator::gather<T>(std::span<const T>, std::span<T>, std::span<const Index>, int) const;  \
  template void Communicator::scatter<T>(std::span<const T>, std::span<T>, std::span<const Index>, int) const; \
  template void Communicator::all_gather<T>(std::span<const T>, std::span<T>, std::span<const Index>) const;   \
  template void Communicator::all_to_all<T>(std::span<const T>, std::span<const Index>, std::span<T>,          \
                                            std::span<const Index>, Index) const;                              \
  template void Communicator::all_to_all<T>(std::span<const T>, std::span<T>, Index) const;

TARTAN_FOR_EACH_ELEMENT_TYPE(TARTAN_INSTANTIATE_MOVES)
TARTAN_INSTANTIATE_MOVES(std::byte)

}  // namespace tartan
