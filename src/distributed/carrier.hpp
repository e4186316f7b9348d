#pragma once

#include <span>
#include <vector>

#include <tartan/comm/communicator.hpp>
#include <tartan/device/device.hpp>

namespace tartan {

/// The collectives of a communicator on what lies on `device`, which is each rank's own: on the CPU they are the
/// communicator's, and what they check and record is. Where the ranks have an NCCL group, they are enqueued on the
/// device's stream and the host goes on; elsewhere what is sent goes through MPI (distributed/staging.hpp). With one
/// rank nothing is sent, and on a device nothing recorded. Root is
/// rank 0. The types and the reductions that NCCL does not add in the order of ranks go there piece by piece and are
/// added here: the half types, as Communicator has it. Maxima and minima are never NCCL's.
struct Carrier {
  const Communicator& communicator;
  Device device;
  /// Those of all ranks, where one communicator serves several choices of devices.
  std::vector<Device> devices = {};

  template <class T>
  void broadcast(std::span<T> data) const;
  /// `out` is ignored but on rank 0.
  template <class T>
  void reduce(std::span<const T> in, std::span<T> out) const;
  template <class T>
  void all_reduce(std::span<const T> in, std::span<T> out, Reduction reduction = Reduction::sum) const;
  template <class T>
  void gather(std::span<const T> mine, std::span<T> all, std::span<const Index> counts) const;
  template <class T>
  void scatter(std::span<const T> all, std::span<T> mine, std::span<const Index> counts) const;
  template <class T>
  void all_gather(std::span<const T> mine, std::span<T> all, std::span<const Index> counts) const;
  template <class T>
  void reduce_scatter(std::span<const T> all, std::span<T> mine, std::span<const Index> counts) const;
  template <class T>
  void all_to_all(std::span<const T> out, std::span<const Index> send_counts, std::span<T> in,
                  std::span<const Index> receive_counts, Index largest) const;
  template <class T>
  void all_to_all(std::span<const T> out, std::span<T> in, Index count) const;
};

}  // namespace tartan
