#include "distributed/carrier.hpp"

#include <algorithm>
#include <utility>

#include <tartan/base/decomposition.hpp>
#include <tartan/base/error.hpp>
#include <tartan/tensor/tensor.hpp>

#include "base/element_types.hpp"
#include "comm/entries.hpp"
#include "comm/nccl_group.hpp"
#include "distributed/staging.hpp"
#include "kernels/boxes.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/on.hpp"

namespace tartan {
namespace {

using device::Nccl;
using Counts = std::vector<Index>;

/// On one rank, on a device: nothing moves but from one place to the other.
template <class T>
bool only_copied(const Carrier& carrier, std::span<const T> from, std::span<T> to) {
  if (carrier.device.is_cpu() || carrier.communicator.size() > 1) return false;
  if (from.data() != to.data()) {
    device::copy(carrier.device, to.data(), carrier.device, from.data(), from.size_bytes());
  }
  return true;
}

/// Calls move(nccl) where the ranks have NCCL; false elsewhere. After a fault of it the communicators are finished, as
/// after one of MPI.
template <class Move>
bool by_nccl(const Carrier& carrier, const Move& move) {
  try {
    const auto* const nccl = nccl_group(carrier.communicator, carrier.device, carrier.devices);
    if (nccl == nullptr) return false;
    move(*nccl);
  } catch (const CudaError& error) {
    carrier.communicator.mark_failed(error.what());
    throw;
  }
  return true;
}

/// `count` for `rank`, nothing for the others.
Counts only_for(int rank, Index count, int ranks) {
  Counts counts(static_cast<std::size_t>(ranks));
  counts[static_cast<std::size_t>(rank)] = count;
  return counts;
}

/// Each rank gets its counts[r] elements of every rank's `all` and adds them in float, in the order of ranks; rounded
/// once.
template <HalfType T>
void add_blocks(const Nccl& nccl, int rank, const T* all, T* mine, std::span<const Index> counts) {
  const Index n = counts[static_cast<std::size_t>(rank)];
  const auto ranks = static_cast<Index>(counts.size());
  Tensor<T> terms(Shape{ranks * n}, nccl.device());
  nccl.all_to_all(all, counts, terms.data(), Counts(counts.size(), n), sizeof(T));
  Tensor<float> sums(Shape{n}, nccl.device());
  const Box block(Shape{n});
  kernels::on(nccl.device(), [&](auto where) {
    kernels::fill(where, sums.data(), n, additive_identity<float>());
    for (Index r = 0; r < ranks; ++r) {
      kernels::add_box(where, std::as_const(terms).data() + r * n, block, sums.data(), block, block);
    }
    kernels::round_to(where, std::as_const(sums).data(), n, mine);
  });
}

Counts balanced(Index n, int ranks) {
  const auto split = Decomposition::balanced(n, ranks);
  Counts counts;
  for (int r = 0; r < ranks; ++r) counts.push_back(split.block(r).extent());
  return counts;
}

}  // namespace

template <class T>
void Carrier::broadcast(std::span<T> data) const {
  if (only_copied(*this, std::span<const T>(data), data)) return;
  if (by_nccl(*this, [&](const Nccl& nccl) {
        enter_broadcast<T>(communicator, std::ssize(data), 0);
        nccl.broadcast(data.data(), data.size_bytes(), 0);
      })) {
    return;
  }
  const bool mine = communicator.rank() == 0;
  in_pieces(device, std::as_const(data).data(), mine, data.data(), !mine, std::ssize(data),
            [&](std::span<const T> sent, std::span<T> received) {
              communicator.broadcast(mine ? std::span<T>(const_cast<T*>(sent.data()), sent.size()) : received, 0);
            });
}

template <class T>
void Carrier::reduce(std::span<const T> in, std::span<T> out) const {
  if (only_copied(*this, in, out)) return;
  const bool mine = communicator.rank() == 0;
  if (by_nccl(*this, [&](const Nccl& nccl) {
        const Index n = std::ssize(in);
        const int ranks = communicator.size();
        enter_reduce<T>(communicator, n, out.size(), 0, Reduction::sum);
        if constexpr (is_half_type<T>) {
          const auto counts = balanced(n, ranks);
          const Index held = counts[static_cast<std::size_t>(communicator.rank())];
          Tensor<T> block(Shape{held}, device);
          add_blocks(nccl, communicator.rank(), in.data(), block.data(), counts);
          nccl.all_to_all(std::as_const(block).data(), only_for(0, held, ranks), out.data(),
                          mine ? counts : only_for(0, 0, ranks), sizeof(T));
        } else {
          nccl.reduce(in.data(), out.data(), n, device::number_of<T>(), 0);
        }
      })) {
    return;
  }
  in_pieces(device, in.data(), true, out.data(), mine, std::ssize(in),
            [&](std::span<const T> terms, std::span<T> sums) { communicator.reduce(terms, sums, 0); });
}

template <class T>
void Carrier::all_reduce(std::span<const T> in, std::span<T> out, Reduction reduction) const {
  if (only_copied(*this, in, out)) return;
  if (reduction == Reduction::sum && by_nccl(*this, [&](const Nccl& nccl) {
        const Index n = std::ssize(in);
        enter_all_reduce<T>(communicator, n, out.size(), reduction);
        if constexpr (is_half_type<T>) {
          const auto counts = balanced(n, communicator.size());
          const Layout layout(communicator, Collective::all_reduce, counts);
          const auto mine = layout.my_part(out);
          add_blocks(nccl, communicator.rank(), in.data(), mine.data(), counts);
          nccl.all_gather(mine.data(), out.data(), counts, sizeof(T));
        } else {
          nccl.all_reduce(in.data(), out.data(), n, device::number_of<T>());
        }
      })) {
    return;
  }
  in_pieces(device, in.data(), true, out.data(), true, std::ssize(in),
            [&](std::span<const T> terms, std::span<T> sums) { communicator.all_reduce(terms, sums, reduction); });
}

template <class T>
void Carrier::gather(std::span<const T> mine, std::span<T> all, std::span<const Index> counts) const {
  if (only_copied(*this, mine, all)) return;
  if (by_nccl(*this, [&](const Nccl& nccl) {
        const auto layout = enter_gather<T>(communicator, mine.size(), all.size(), counts, 0);
        const auto send = only_for(0, layout.count(), communicator.size());
        const auto nothing = only_for(0, 0, communicator.size());
        nccl.all_to_all(mine.data(), send, all.data(), communicator.rank() == 0 ? counts : nothing, sizeof(T));
      })) {
    return;
  }
  const Outbound<T> out(device, mine);
  const Inbound<T> in(device, all);
  communicator.gather(out.span(), in.span(), counts, 0);
  in.put();
}

template <class T>
void Carrier::scatter(std::span<const T> all, std::span<T> mine, std::span<const Index> counts) const {
  if (only_copied(*this, all, mine)) return;
  if (by_nccl(*this, [&](const Nccl& nccl) {
        const auto layout = enter_scatter<T>(communicator, all.size(), mine.size(), counts, 0);
        const auto receive = only_for(0, layout.count(), communicator.size());
        const auto nothing = only_for(0, 0, communicator.size());
        nccl.all_to_all(all.data(), communicator.rank() == 0 ? counts : nothing, mine.data(), receive, sizeof(T));
      })) {
    return;
  }
  const Outbound<T> out(device, all);
  const Inbound<T> in(device, mine);
  communicator.scatter(out.span(), in.span(), counts, 0);
  in.put();
}

template <class T>
void Carrier::all_gather(std::span<const T> mine, std::span<T> all, std::span<const Index> counts) const {
  if (only_copied(*this, mine, all)) return;
  if (by_nccl(*this, [&](const Nccl& nccl) {
        enter_all_gather<T>(communicator, mine.size(), all.size(), counts);
        nccl.all_gather(mine.data(), all.data(), counts, sizeof(T));
      })) {
    return;
  }
  const Outbound<T> out(device, mine);
  const Inbound<T> in(device, all);
  communicator.all_gather(out.span(), in.span(), counts);
  in.put();
}

template <class T>
void Carrier::reduce_scatter(std::span<const T> all, std::span<T> mine, std::span<const Index> counts) const {
  if (only_copied(*this, all, mine)) return;
  if (by_nccl(*this, [&](const Nccl& nccl) {
        enter_reduce_scatter<T>(communicator, all.size(), mine.size(), counts);
        if constexpr (is_half_type<T>) {
          add_blocks(nccl, communicator.rank(), all.data(), mine.data(), counts);
        } else {
          nccl.reduce_scatter(all.data(), mine.data(), counts, device::number_of<T>());
        }
      })) {
    return;
  }
  // Libraries that take device memory need not take that of blocks which differ: Open MPI adds those on the host.
  const bool equal = std::ranges::all_of(counts, [&](Index n) { return n == counts.front(); });
  const auto stage = equal ? stage_for<T>(device) : Device{};
  const Outbound<T> out(device, all, stage);
  const Inbound<T> in(device, mine, stage);
  communicator.reduce_scatter(out.span(), in.span(), counts);
  in.put();
}

template <class T>
void Carrier::all_to_all(std::span<const T> out, std::span<const Index> send_counts, std::span<T> in,
                         std::span<const Index> receive_counts, Index largest) const {
  if (only_copied(*this, out, in)) return;
  if (by_nccl(*this, [&](const Nccl& nccl) {
        enter_all_to_all<T>(communicator, out.size(), send_counts, in.size(), receive_counts, largest);
        nccl.all_to_all(out.data(), send_counts, in.data(), receive_counts, sizeof(T));
      })) {
    return;
  }
  const Outbound<T> outbound(device, out);
  const Inbound<T> inbound(device, in);
  communicator.all_to_all(outbound.span(), send_counts, inbound.span(), receive_counts, largest);
  inbound.put();
}

template <class T>
void Carrier::all_to_all(std::span<const T> out, std::span<T> in, Index count) const {
  if (only_copied(*this, out, in)) return;
  if (by_nccl(*this, [&](const Nccl& nccl) {
        enter_all_to_all<T>(communicator, out.size(), in.size(), count);
        const Counts counts(static_cast<std::size_t>(communicator.size()), count);
        nccl.all_to_all(out.data(), counts, in.data(), counts, sizeof(T));
      })) {
    return;
  }
  const Outbound<T> outbound(device, out);
  const Inbound<T> inbound(device, in);
  communicator.all_to_all(outbound.span(), inbound.span(), count);
  inbound.put();
}

#define INSTANTIATE(T)                                                                                                \
  template void Carrier::broadcast(std::span<T>) const;                                                               \
  template void Carrier::reduce(std::span<const T>, std::span<T>) const;                                              \
  template void Carrier::all_reduce(std::span<const T>, std::span<T>, Reduction) const;                               \
  template void Carrier::gather(std::span<const T>, std::span<T>, std::span<const Index>) const;                      \
  template void Carrier::scatter(std::span<const T>, std::span<T>, std::span<const Index>) const;                     \
  template void Carrier::all_gather(std::span<const T>, std::span<T>, std::span<const Index>) const;                  \
  template void Carrier::reduce_scatter(std::span<const T>, std::span<T>, std::span<const Index>) const;              \
  template void Carrier::all_to_all(std::span<const T>, std::span<const Index>, std::span<T>, std::span<const Index>, \
                                    Index) const;                                                                     \
  template void Carrier::all_to_all(std::span<const T>, std::span<T>, Index) const;
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
