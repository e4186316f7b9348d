#include <tartan/comm/environment.hpp>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "base/fail.hpp"
#include "comm/exception_text.hpp"
#include "comm/mpi_call.hpp"
#include "comm/settings.hpp"

namespace tartan {
namespace {

using std::chrono::milliseconds;

/// What the end of the program needs; there is one Environment per process.
struct Ending {
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
  bool met = false;
};
Ending ending;

/// One write, so that lines of several ranks do not mix.
void print(const std::string& text) {
  const std::string line = "tartan: " + text + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

[[noreturn]] void abort_job() {
  MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
  std::_Exit(EXIT_FAILURE);
}

[[noreturn]] void terminate() {
  const auto error = std::current_exception();
  const std::string what = error ? exception_text(error) : "std::terminate without an exception";
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (initialized == 0 || finalized != 0) {
    print("error: " + what);
    std::abort();
  }
  print(fmt::format("rank {}: error: {}", ending.rank, what));
  abort_job();
}

double seconds(milliseconds time) { return static_cast<double>(time.count()) / 1000; }

/// The lowest of every rank's `mine`; no value where the ranks do not come within `deadline`. After `silence`, a rank
/// says that it waits.
std::optional<int> meet(int mine, milliseconds deadline, milliseconds silence) {
  ending.met = true;
  auto values = std::make_unique<std::array<int, 2>>(std::array{mine, mine});
  MPI_Request request = MPI_REQUEST_NULL;
  int code = MPI_Iallreduce(values->data(), values->data() + 1, 1, MPI_INT, MPI_MIN, ending.comm, &request);
  if (code == MPI_SUCCESS) {
    auto completed = complete_within(request, std::min(silence, deadline));
    if (!completed && silence < deadline) {
      // A few ranks say so for all: some of them may be waited for.
      if (ending.rank < 2 || ending.rank == ending.size - 1) {
        print(fmt::format(
            "rank {} is at its end and waits for the others, up to {:g} s (TARTAN_END_DEADLINE). If they do not work "
            "any more, they sit in a collective call that not every rank makes: TARTAN_CHECKS=collective says in which",
            ending.rank, seconds(deadline)));
      }
      completed = complete_within(request, deadline - silence);
    }
    if (completed == MPI_SUCCESS) return values->back();
  }
  (void)values.release();
  return std::nullopt;
}

constexpr int nobody = INT_MAX;

/// Meets the peers after `error`, or none; prints on the lowest true culprit. The job's exit status.
int meet_at_the_end(const std::exception_ptr& error, bool unwinding = false) {
  const Fault fault = classify(error);
  const int mine = fault == Fault::none ? nobody : ending.rank + (fault == Fault::remote ? ending.size : 0);
  // Where nothing has failed, a peer may still compute or write a file.
  const auto deadline = error || unwinding ? Environment::deadline() : end_deadline();
  const auto lowest = meet(mine, deadline, 20 * Environment::deadline());
  const std::string text = error ? exception_text(error) : "this rank is at its end, but the job is not";
  if (!lowest || (error && *lowest == mine)) print(fmt::format("rank {}: error: {}", ending.rank, text));
  if (!lowest) {
    print(fmt::format("rank {}: the other ranks did not come within {:g} s, ending the job", ending.rank,
                      seconds(deadline)));
    abort_job();
  }
  return *lowest == nobody ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

Environment::Environment(int& argc, char**& argv) {
  int initialized = 0;
  MPI_Initialized(&initialized);
  require(initialized == 0, "MPI is initialised already: a program that owns MPI needs no tartan::Environment");
  int provided = 0;
  require(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided) == MPI_SUCCESS, "MPI_Init_thread failed");
  MPI_Comm_dup(MPI_COMM_WORLD, &ending.comm);
  MPI_Comm_set_errhandler(ending.comm, MPI_ERRORS_RETURN);
  MPI_Comm_rank(ending.comm, &ending.rank);
  MPI_Comm_size(ending.comm, &ending.size);
  std::set_terminate(terminate);
}

Environment::~Environment() {
  if (!ending.met) meet_at_the_end(nullptr, std::uncaught_exceptions() > 0);
  MPI_Comm_free(&ending.comm);
  MPI_Finalize();
}

int run_on_all_ranks(int& argc, char**& argv, const std::function<void(const Communicator&)>& body) {
  std::unique_ptr<Environment> environment;
  std::exception_ptr error;
  try {
    environment = std::make_unique<Environment>(argc, argv);
    const Communicator world(MPI_COMM_WORLD, "world");
    body(world);
    world.require_usable();  // a fault of MPI or NCCL that `body` has caught is one all the same
    require(std::fflush(stdout) == 0 && std::ferror(stdout) == 0, "not all of standard output could be written");
  } catch (...) {
    error = std::current_exception();
  }
  if (!environment) {
    print("error: " + exception_text(error));
    return EXIT_FAILURE;
  }
  return meet_at_the_end(error);
}

}  // namespace tartan
