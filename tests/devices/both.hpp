#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <tartan/base/random.hpp>
#include <tartan/device/cuda.hpp>
#include <tartan/distributed/distributed_tensor.hpp>
#include <tartan/partition/cartesian_topology.hpp>

#include "comm/transport.hpp"
#include "kernels/accumulator.hpp"
#include "support/catch.hpp"
#include "support/world.hpp"

/// The same program on the processor and on CUDA devices. Only what the library itself brings to the host is looked at,
/// so that these tests run on real devices too.
namespace tartan::testing {

inline bool no_devices() {
  if (cuda::device_count() > 0) return false;
  WARN("no CUDA device: nothing was tried");
  return true;
}

/// Every P_d x P_V x P_M grid of all ranks.
inline std::vector<Shape> grids() {
  std::vector<Shape> result;
  const Index n = world().size();
  for (Index d = 1; d <= n; ++d) {
    for (Index v = 1; d * v <= n; ++v) {
      if (n % (d * v) == 0) result.push_back({d, v, n / (d * v)});
    }
  }
  return result;
}

template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() &&
         (a.elements() == 0 ||
          std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.elements()) * sizeof(T)) == 0);
}

/// Whether the ranks, all on one node, each have a device that NCCL connects to the others'.
inline bool have_nccl() {
  const int n = world().size();
  return transport() == Transport::nccl && 1 < n && n <= cuda::device_count();
}

/// The same but for the order in which a few terms of their magnitude were added.
template <class T>
bool nearly(const Tensor<T>& a, const Tensor<T>& b) {
  return std::ranges::equal(a.span(), b.span(), [](T x, T y) {
    const auto distance = std::abs(static_cast<double>(x) - static_cast<double>(y));
    return distance <= 8 * std::max(1.0, std::abs(static_cast<double>(y))) *
                           static_cast<double>(std::numeric_limits<Accumulator<T>>::epsilon());
  });
}

/// What a program computed, whole tensors on the host.
template <class T>
using Results = std::vector<std::pair<std::string, Tensor<T>>>;

/// Collective. Calls program(topology) on every grid, once on the processor and once on the devices: the results have
/// the same bits, but for what NCCL adds along an axis of more than two ranks.
template <class T, class Program>
void same_on_both(const Program& program) {
  if (no_devices()) return;
  const Partition all(world());
  for (const auto& shape : grids()) {
    const Results<T> expected = program(all.cartesian(shape, Device{}));
    const Results<T> found = program(all.cartesian(shape, Device::cuda()));
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      INFO(found[i].first << " on a grid of " << shape.to_string());
      if (have_nccl() && std::ranges::max(shape) > 2) {
        CHECK(nearly(found[i].second, expected[i].second));
      } else {
        CHECK(same_bits(found[i].second, expected[i].second));
      }
    }
  }
}

/// Ids that repeat, with the last one never drawn.
template <class I>
DistributedTensor<I> drawn_ids(const Distribution& d, Index bound, const char* name = "ids") {
  const RandomStream stream(3, name);
  return DistributedTensor<I>::from_function(d, [&](std::span<const Index> index) {
    const auto flat = d.shape().flat(index);
    return flat % 3 == 0 ? bound / 2 : stream.below(flat, bound - 1);
  });
}

/// Numbers of both signs, another one at every place.
template <class T>
DistributedTensor<T> drawn(const Distribution& d, const char* name) {
  const RandomStream stream(5, name);
  return DistributedTensor<T>::from_function(
      d, [&](std::span<const Index> index) { return 2 * stream.uniform(d.shape().flat(index)) - 1; });
}

}  // namespace tartan::testing
