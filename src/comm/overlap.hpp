#pragma once

#include <mpi.h>

#include <functional>
#include <optional>
#include <vector>

#include <tartan/comm/communicator.hpp>

/// Work of a rank's own for the time that a reduction travels.
namespace tartan {

/// To be called from within long work: MPI moves messages only while it is called.
using Progress = std::function<void()>;
using OverlappedWork = std::function<void(const Progress& progress)>;

/// Calls `move`, in which the first all_reduce or reduce_scatter of numbers that MPI adds, on more than one rank and in
/// host memory, is started, then does `work`, then ends the reduction. Whether `work` was done: not where there was no
/// such reduction. Every rank of that reduction calls it, or none: MPI does not match calls that wait with those that
/// do not. All memory that `move` gives to reductions must be the host's.
bool overlapped(const std::function<void()>& move, const OverlappedWork& work);

/// For reductions: whether this one is to be started and ended by wait_beside_work().
bool has_overlapped_work() noexcept;
/// Does the work, then waits for `requests`.
void wait_beside_work(std::vector<MPI_Request>& requests, const Communicator& communicator, const char* operation);

}  // namespace tartan
