#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include <tartan/base/error.hpp>
#include <tartan/base/half_types.hpp>
#include <tartan/device/device.hpp>

#include "comm/transport.hpp"
#include "device/memory.hpp"

/// What lies on a device on its way through a communicator, whose collectives take staged memory: of the host, or of
/// the device where MPI takes that.
namespace tartan {

/// Where what lies on `device` is staged: on the device for an MPI that takes it, but never the half types, which
/// communicators add on the host.
template <class T>
Device stage_for(Device device) {
  return transport() == Transport::mpi && !is_half_type<T> ? device : Device{};
}

/// What a collective is to read: on the CPU the elements themselves, otherwise a staged copy of them, which is final.
template <class T>
class Outbound {
 public:
  Outbound(Device device, std::span<const T> elements) : Outbound(device, elements, stage_for<T>(device)) {}
  Outbound(Device device, std::span<const T> elements, Device stage) : elements_{elements} {
    if (device.is_cpu() || elements.empty()) return;
    staged_ = device::Staged(elements.size_bytes(), stage);
    device::copy_later(device, staged_.data(), elements.data(), elements.size_bytes());
    elements_ = {reinterpret_cast<const T*>(staged_.data()), elements.size()};
    device::Mark(device).wait();
  }
  std::span<const T> span() const { return elements_; }

 private:
  std::span<const T> elements_;
  device::Staged staged_;
};

/// Where a collective is to write; put() brings it to the elements' own place.
template <class T>
class Inbound {
 public:
  Inbound(Device device, std::span<T> elements) : Inbound(device, elements, stage_for<T>(device)) {}
  Inbound(Device device, std::span<T> elements, Device stage)
      : device_{device}, target_{elements}, elements_{elements} {
    if (device.is_cpu() || elements.empty()) return;
    staged_ = device::Staged(elements.size_bytes(), stage);
    elements_ = {reinterpret_cast<T*>(staged_.data()), elements.size()};
  }
  std::span<T> span() const { return elements_; }
  void put() const {
    if (elements_.data() == target_.data()) return;
    device::copy_later(device_, target_.data(), elements_.data(), elements_.size_bytes());
    device::give_back_later(device_, staged_);
  }

 private:
  Device device_;
  std::span<T> target_;
  std::span<T> elements_;
  device::Staged staged_;
};

/// Gives staged memory back when the copies on `device` that use it are done, also where an exception flies past.
struct GiveBack {
  Device device;
  const device::Staged& staged;

  GiveBack(Device where, const device::Staged& block) : device{where}, staged{block} {}
  ~GiveBack() {
    try {
      if (staged.data() != nullptr) device::give_back_later(device, staged);
    } catch (const Error&) {
      // The device is gone, and its copies with it.
    }
  }
  GiveBack(const GiveBack&) = delete;
  GiveBack& operator=(const GiveBack&) = delete;
};

/// How much of a tensor is copied to or from a device while the piece before it, or behind it, is under way between
/// ranks.
inline constexpr Index staged_bytes = Index{1} << 23;

/// Calls collective(in, out) for element-wise collectives on `in`, which is read where `reads`, and `out`, which is
/// written where `writes`, both of `n` elements (null where neither read nor written): at once on the CPU, otherwise on
/// staged copies, piece by piece, so that the device's copies overlap the messages. Ranks cut the pieces alike.
template <class T, class Collective>
void in_pieces(Device device, const T* in, bool reads, T* out, bool writes, Index n, const Collective& collective) {
  const auto whole = static_cast<std::size_t>(n);
  if (device.is_cpu()) return collective(std::span<const T>(in, whole), std::span<T>(out, whole));
  const device::Staged read(reads ? whole * sizeof(T) : 0, stage_for<T>(device));
  const device::Staged written(writes ? whole * sizeof(T) : 0, stage_for<T>(device));
  const GiveBack read_later(device, read), written_later(device, written);
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
}

}  // namespace tartan
