#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include <tartan/base/half_types.hpp>
#include <tartan/device/device.hpp>

#include "comm/transport.hpp"
#include "device/memory.hpp"

/// What lies on a device on its way through a communicator, whose collectives take host memory, or memory of the device
/// where MPI takes that.
namespace tartan {

/// Whether communicators are given what lies on `device` as it is: never the half types, which they add on the host.
template <class T>
bool goes_as_it_is(Device device) {
  return device.is_cpu() || (transport() == Transport::mpi && !is_half_type<T>);
}

/// What a collective is to read. On the CPU and for an MPI that takes device memory, the elements themselves, which are
/// final; otherwise a page-locked copy of them.
template <class T>
class Outbound {
 public:
  Outbound(Device device, std::span<const T> elements) : elements_{elements} {
    if (device.is_cpu() || elements.empty()) return;
    if (!goes_as_it_is<T>(device)) {
      pinned_ = device::Pinned(elements.size_bytes());
      device::copy_later(device, pinned_.data(), elements.data(), elements.size_bytes());
      elements_ = {reinterpret_cast<const T*>(pinned_.data()), elements.size()};
    }
    device::Mark(device).wait();
  }
  std::span<const T> span() const { return elements_; }

 private:
  std::span<const T> elements_;
  device::Pinned pinned_;
};

/// Where a collective is to write; put() brings it to the elements' own place.
template <class T>
class Inbound {
 public:
  Inbound(Device device, std::span<T> elements) : device_{device}, target_{elements}, elements_{elements} {
    if (device.is_cpu() || elements.empty()) return;
    if (goes_as_it_is<T>(device)) {
      device::Mark(device).wait();  // what reads or writes them until now
    } else {
      pinned_ = device::Pinned(elements.size_bytes());
      elements_ = {reinterpret_cast<T*>(pinned_.data()), elements.size()};
    }
  }
  std::span<T> span() const { return elements_; }
  void put() const {
    if (elements_.data() == target_.data()) return;
    device::copy(device_, target_.data(), Device{}, elements_.data(), elements_.size_bytes());
  }

 private:
  Device device_;
  std::span<T> target_;
  std::span<T> elements_;
  device::Pinned pinned_;
};

/// How much of a tensor is copied to or from a device while the piece before it, or behind it, is under way between
/// ranks.
inline constexpr Index staged_bytes = Index{1} << 23;

/// Calls collective(in, out) for element-wise collectives on `in`, which is read where `reads`, and `out`, which is
/// written where `writes`, both of `n` elements (null where neither read nor written): at once where they go as they
/// are, otherwise on page-locked copies, piece by piece, so that the device's copies overlap the messages. Ranks cut
/// the pieces alike.
template <class T, class Collective>
void in_pieces(Device device, const T* in, bool reads, T* out, bool writes, Index n, const Collective& collective) {
  const auto whole = static_cast<std::size_t>(n);
  if (goes_as_it_is<T>(device)) {
    if (!device.is_cpu()) device::Mark(device).wait();
    return collective(std::span<const T>(in, whole), std::span<T>(out, whole));
  }
  const device::Pinned read(reads ? whole * sizeof(T) : 0);
  const device::Pinned written(writes ? whole * sizeof(T) : 0);
  auto* const from = reinterpret_cast<T*>(read.data());
  auto* const to = reinterpret_cast<T*>(written.data());
  const Index piece = staged_bytes / static_cast<Index>(sizeof(T));
  const auto bytes = [&](Index begin) { return static_cast<std::size_t>(std::min(piece, n - begin)) * sizeof(T); };
  std::vector<device::Mark> arrived;
  for (Index begin = 0; reads && begin < n; begin += piece) {
    device::copy_later(device, from + begin, in + begin, bytes(begin));
    arrived.emplace_back(device);
  }
  Index begin = 0;
  do {  // once where there is nothing
    const auto count = bytes(begin) / sizeof(T);
    if (reads && count > 0) arrived[static_cast<std::size_t>(begin / piece)].wait();
    collective(std::span<const T>(reads ? from + begin : nullptr, reads ? count : 0),
               std::span<T>(writes ? to + begin : nullptr, writes ? count : 0));
    if (writes) device::copy_later(device, out + begin, to + begin, bytes(begin));
    begin += piece;
  } while (begin < n);
  if (writes && n > 0) device::Mark(device).wait();  // the page-locked memory goes to others
}

}  // namespace tartan
