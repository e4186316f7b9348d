#pragma once

#include <chrono>
#include <functional>

#include <tartan/comm/communicator.hpp>

namespace tartan {

/// MPI from initialisation to finalisation, for programs that do not own MPI already. Host codes that do need no
/// Environment: Tartan never initialises, finalises or aborts MPI outside it.
class Environment {
 public:
  /// Initialises MPI (thread level MPI_THREAD_FUNNELED, or more where MPI gives more) and installs a terminate handler
  /// that prints the error and ends the job. Throws Error where MPI is initialised already.
  Environment(int& argc, char**& argv);
  /// Meets the other ranks in a non-blocking barrier and finalises MPI. A peer may still compute or write a file: after
  /// twenty times deadline() ranks 0, 1 and the last say that they wait, and after an hour (TARTAN_END_DEADLINE
  /// seconds) the job ends by MPI_Abort; while unwinding, after deadline().
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  /// How long a rank waits for its peers after an error: 3 s, or TARTAN_DEADLINE seconds, unless set.
  static std::chrono::milliseconds deadline() noexcept;
  static void set_deadline(std::chrono::milliseconds deadline) noexcept;
};

/// The program `body` from start to end: initialises MPI, runs `body` on every rank with a communicator over all of
/// them and returns the exit status of the process: the same on every rank, 0 where no rank threw, else 1. A rank whose
/// standard output was closed or lost what was written to it (a full disk), or whose communicators are finished after
/// an MpiError that `body` caught, ends as if `body` had thrown an Error. Of the ranks that threw, the lowest one with
/// something else than a RemoteError prints its error: once, on stderr. A rank that threw and whose peers do not come
/// within Environment::deadline() prints its own error and ends the job by MPI_Abort.
int run_on_all_ranks(int& argc, char**& argv, const std::function<void(const Communicator&)>& body);

}  // namespace tartan
