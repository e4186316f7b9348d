#pragma once

#include <mpi.h>

#include <chrono>
#include <optional>

#include <tartan/comm/communicator.hpp>

namespace tartan {

/// Declares the family of `communicator` finished and throws MpiError, naming `operation`.
[[noreturn]] void throw_mpi_error(int code, const Communicator& communicator, const char* operation);

/// Every return code of an MPI call on a communicator passes here.
inline void check_mpi(int code, const Communicator& communicator, const char* operation) {
  if (code != MPI_SUCCESS) throw_mpi_error(code, communicator, operation);
}

/// Polls `request` until it is complete; no value where `deadline` has passed before, else MPI's return code.
std::optional<int> complete_within(MPI_Request& request, std::chrono::milliseconds deadline);

}  // namespace tartan
