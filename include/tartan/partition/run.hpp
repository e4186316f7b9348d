#pragma once

#include <functional>

#include <tartan/comm/environment.hpp>
#include <tartan/partition/cartesian_topology.hpp>

namespace tartan {

/// A whole program: initialises MPI, calls `body` on every rank with the partition of all ranks, and returns the exit
/// status (the same on every rank). An exception ends the job: see run_on_all_ranks.
inline int run(int& argc, char**& argv, const std::function<void(const Partition& world)>& body) {
  return run_on_all_ranks(argc, argv, [&](const Communicator& world) { body(Partition(world)); });
}

}  // namespace tartan
