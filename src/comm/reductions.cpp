#include <algorithm>
#include <vector>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "comm/calls.hpp"
#include "comm/entries.hpp"
#include "comm/overlap.hpp"

namespace tartan {
namespace {

MPI_Op operation(Reduction reduction) {
  return reduction == Reduction::sum ? MPI_SUM : reduction == Reduction::max ? MPI_MAX : MPI_MIN;
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

/// A balanced cut of `n` elements into one block per rank.
std::vector<Index> blocks_of(Index n, const Communicator& communicator) {
  std::vector<Index> counts;
  for (int r = 0; r < communicator.size(); ++r) {
    counts.push_back(n / communicator.size() + (r < n % communicator.size() ? 1 : 0));
  }
  return counts;
}

/// The terms of one block that all ranks have, rank after rank, combined in float in the order of ranks and rounded
/// once.
template <HalfType T>
void combine(std::span<const T> terms, std::span<T> result, Reduction reduction) {
  constexpr std::size_t tile = 1024;
  const auto fold = [&](auto operation) {
    for (std::size_t begin = 0; begin < result.size(); begin += tile) {
      const auto count = std::min(tile, result.size() - begin);
      std::array<float, tile> sums;
      for (std::size_t i = 0; i < count; ++i) sums[i] = static_cast<float>(terms[begin + i]);
      for (auto next = begin + result.size(); next < terms.size(); next += result.size()) {
        for (std::size_t i = 0; i < count; ++i) sums[i] = operation(sums[i], static_cast<float>(terms[next + i]));
      }
      for (std::size_t i = 0; i < count; ++i) result[begin + i] = static_cast<T>(sums[i]);
    }
  };
  switch (reduction) {
    case Reduction::sum:
      return fold([](float a, float b) { return a + b; });
    case Reduction::max:
      return fold([](float a, float b) { return a < b ? b : a; });
    case Reduction::min:
      return fold([](float a, float b) { return b < a ? b : a; });
  }
}

/// MPI does not know the half types, and would round each partial sum: `all`, cut into counts[r] elements for rank r,
/// goes there as it is, and rank r combines its block.
template <HalfType T>
void combine_blocks(const Communicator& communicator, std::span<const T> all, std::span<T> mine,
                    std::span<const Index> counts, Reduction reduction, const char* name) {
  const auto size = static_cast<std::size_t>(communicator.size());
  const std::vector<Index> from_each(size, std::ssize(mine));
  std::vector<T> terms(mine.size() * size);
  all_to_all_parts<T>(communicator, all, counts, terms, from_each, std::ranges::max(counts), name);
  combine<T>(terms, mine, reduction);
}

}  // namespace

template <class T>
void Communicator::reduce(std::span<const T> in, std::span<T> out, int root, Reduction reduction) const {
  enter_reduce<T>(*this, std::ssize(in), out.size(), root, reduction);
  if (size() == 1) return copy(in, out);
  if constexpr (is_half_type<T>) {
    const auto counts = blocks_of(std::ssize(in), *this);
    const Layout layout(*this, Collective::reduce, counts);
    std::vector<T> mine(static_cast<std::size_t>(layout.count()));
    combine_blocks<T>(*this, in, mine, counts, reduction, "reduce");
    gather_parts<T>(*this, mine, out, layout, root, "reduce");
  } else {
    reduce_chunks(*this, in, out.data(), root, reduction, "reduce");
  }
}

template <class T>
void Communicator::all_reduce(std::span<const T> in, std::span<T> out, Reduction reduction) const {
  const Index n = std::ssize(in);
  enter_all_reduce<T>(*this, n, out.size(), reduction);
  if (size() == 1) return copy(in, out);
  if constexpr (is_half_type<T>) {
    const auto counts = blocks_of(n, *this);
    const Layout layout(*this, Collective::all_reduce, counts);
    const auto mine = layout.my_part(out);
    combine_blocks(*this, in, mine, counts, reduction, "all_reduce");
    all_gather_parts<T>(*this, mine, out, layout, "all_reduce");
  } else {
    const bool in_place = in.data() == out.data();
    if (has_overlapped_work()) {
      std::vector<MPI_Request> requests;
      for_each_chunk<T>(n, [&](Index offset, int count) {
        check_mpi(MPI_Iallreduce(in_place ? MPI_IN_PLACE : in.data() + offset, out.data() + offset, count,
                                 Element<T>::type(), operation(reduction), native(), &requests.emplace_back()),
                  *this, "all_reduce");
      });
      return wait_beside_work(requests, *this, "all_reduce");
    }
    for_each_chunk<T>(n, [&](Index offset, int count) {
      check_mpi(MPI_Allreduce(in_place ? MPI_IN_PLACE : in.data() + offset, out.data() + offset, count,
                              Element<T>::type(), operation(reduction), native()),
                *this, "all_reduce");
    });
  }
}

template <class T>
void Communicator::reduce_scatter(std::span<const T> all, std::span<T> mine, std::span<const Index> counts) const {
  const auto layout = enter_reduce_scatter<T>(*this, all.size(), mine.size(), counts);
  if (size() == 1) return copy(all, mine);

  if constexpr (is_half_type<T>) {
    combine_blocks(*this, all, mine, counts, Reduction::sum, "reduce_scatter");
  } else {
    const auto type = Element<T>::type();
    if (!fits_one_call<T>(layout.total)) {
      const Parts parts(all, counts);
      for (int r = 0; r < size(); ++r) {
        reduce_chunks<T>(*this, parts[r], mine.data(), r, Reduction::sum, "reduce_scatter");
      }
      // Other communicators of the same axis may have smaller wholes, and do the work in their reduction.
      std::vector<MPI_Request> none;
      if (has_overlapped_work()) wait_beside_work(none, *this, "reduce_scatter");
    } else if (has_overlapped_work()) {
      MpiCounts ints(counts);
      std::vector<MPI_Request> requests(1);
      check_mpi(MPI_Ireduce_scatter(all.data(), mine.data(), ints.counts(), type, MPI_SUM, native(), requests.data()),
                *this, "reduce_scatter");
      wait_beside_work(requests, *this, "reduce_scatter");
    } else if (layout.equal) {
      check_mpi(
          MPI_Reduce_scatter_block(all.data(), mine.data(), static_cast<int>(mine.size()), type, MPI_SUM, native()),
          *this, "reduce_scatter");
    } else {
      MpiCounts ints(counts);
      check_mpi(MPI_Reduce_scatter(all.data(), mine.data(), ints.counts(), type, MPI_SUM, native()), *this,
                "reduce_scatter");
    }
  }
}

#define TARTAN_INSTANTIATE(T)                                                                    \
  template void Communicator::reduce<T>(std::span<const T>, std::span<T>, int, Reduction) const; \
  template void Communicator::all_reduce<T>(std::span<const T>, std::span<T>, Reduction) const;  \
  template void Communicator::reduce_scatter<T>(std::span<const T>, std::span<T>, std::span<const Index>) const;
TARTAN_FOR_EACH_ELEMENT_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan
