// The main of every test binary. Rank 0 reports as Catch does; the others keep their reports and print them only where
// they failed; the exit status is the largest of all ranks. After each pass through a test case the ranks meet:
// - a rank that failed waits for the others no longer than Environment::deadline(), then prints its report and ends the
//   job, so that a failed assertion shows its text while its peers still sit in a collective;
// - where a rank failed and the ranks no longer took the same path, the job ends too: they would not meet again.

#define CATCH_CONFIG_RUNNER
#include "support/catch.hpp"

#include <mpi.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

#include <tartan/comm/environment.hpp>
#include <tartan/device/cuda.hpp>

#include "support/world.hpp"
#include "tensor/host_access.hpp"

namespace {

#if __has_include(<catch2/catch_all.hpp>)
using ListenerBase = Catch::EventListenerBase;
constexpr std::array plain_text{"--colour-mode", "none"};
#else
using ListenerBase = Catch::TestEventListenerBase;
constexpr std::array plain_text{"--use-colour", "no"};
#endif

std::optional<tartan::Communicator> world;
std::stringbuf kept_report;
MPI_Comm meeting = MPI_COMM_NULL;  // of this file alone

int rank() { return world->rank(); }

void print_report() {
  std::cout.flush();
  if (rank() == 0) return;
  std::cerr << "\n=== report of rank " << rank() << " ===\n" + kept_report.str() << std::flush;
}

[[noreturn]] void end_job(std::string_view why) {
  print_report();
  std::cerr << "rank " << rank() << ": " << why << "; ending the job\n" << std::flush;
  std::this_thread::sleep_for(std::chrono::milliseconds{200});  // mpiexec still has to pass the text on
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::_Exit(1);
}

struct Path {
  std::int64_t failures = 0;
  std::uint64_t hash = 0xcbf29ce484222325u;

  void add(std::string_view step) {
    for (const char c : step) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
};

/// Called by every rank after each pass through a test case. PMPI, so that the meeting is not counted by MpiCounter.
void meet(const Path& path) {
  struct Message {
    std::array<std::int64_t, 4> mine, least;
  };
  const auto hash = static_cast<std::int64_t>(path.hash >> 1);
  auto message = std::make_unique<Message>();
  message->mine = {-path.failures, path.failures, hash, -hash};
  MPI_Request request = MPI_REQUEST_NULL;
  PMPI_Iallreduce(message->mine.data(), message->least.data(), 4, MPI_INT64_T, MPI_MIN, meeting, &request);
  const auto start = std::chrono::steady_clock::now();
  int done = 0;
  while (PMPI_Test(&request, &done, MPI_STATUS_IGNORE), done == 0) {
    const auto waited = std::chrono::steady_clock::now() - start;
    if (path.failures > 0 && waited > tartan::Environment::deadline()) {
      message.release();
      end_job("failed, and the other ranks did not come to the end of the test case");
    }
    if (waited > std::chrono::milliseconds{1}) std::this_thread::sleep_for(std::chrono::microseconds{100});
    std::this_thread::yield();
  }
  const auto& least = message->least;
  const bool failed = least[0] < 0;
  const bool parted = least[2] != -least[3] || least[0] != -least[1];
  if (!failed || !parted) return;
  if (path.failures > 0) print_report();
  PMPI_Barrier(meeting);
  if (rank() == 0) end_job("the ranks parted after a failure");
  std::this_thread::sleep_for(std::chrono::seconds{5});
  end_job("the ranks parted after a failure");
}

class MeetAfterEachPass : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;

  void sectionStarting(const Catch::SectionInfo& info) override {
    ListenerBase::sectionStarting(info);
    if (depth_++ == 0) path_ = {};
    path_.add(info.name);
  }

  void sectionEnded(const Catch::SectionStats& stats) override {
    ListenerBase::sectionEnded(stats);
    if (--depth_ > 0) return;
    path_.failures = static_cast<std::int64_t>(stats.assertions.failed);
    path_.add(std::to_string(stats.assertions.passed));
    meet(path_);
  }

 private:
  int depth_ = 0;
  Path path_;
};

CATCH_REGISTER_LISTENER(MeetAfterEachPass)

int run_tests(int argc, char** argv) {
  Catch::Session session;
  std::vector<const char*> arguments(argv, argv + argc);
  arguments.insert(arguments.begin() + 1, {"--order", "decl"});  // the same on every rank
  arguments.insert(arguments.begin() + 1, plain_text.begin(),
                   plain_text.end());  // mpiexec passes itself off as a terminal
  if (const int error = session.applyCommandLine(static_cast<int>(arguments.size()), arguments.data())) return error;

  std::streambuf* const output = rank() == 0 ? nullptr : std::cout.rdbuf(&kept_report);
  const int mine = session.run();
  if (output != nullptr) std::cout.rdbuf(output);
  if (mine != 0) print_report();
  int largest = mine;
  PMPI_Allreduce(&mine, &largest, 1, MPI_INT, MPI_MAX, meeting);
  return largest;
}

}  // namespace

const tartan::Communicator& tartan::testing::world() { return *::world; }

int main(int argc, char** argv) {
  tartan::Environment environment(argc, argv);
  if (std::getenv("TARTAN_TESTS_NEED_DEVICE") != nullptr && tartan::cuda::device_count() == 0) {
    std::cout << "skipped: no CUDA device\n";
    return 77;  // ctest's SKIP_RETURN_CODE
  }
  world.emplace(MPI_COMM_WORLD, "world");
  PMPI_Comm_dup(MPI_COMM_WORLD, &meeting);
  // The tests of layers look at parts wherever they lie; they run on simulated devices only.
  if (std::getenv("TARTAN_DEVICE") != nullptr) {
    tartan::let_host_read_devices(true);
    setenv("TARTAN_SIMULATED_CUDA_HOST_READS", "program", 0);
  }
  const int status = run_tests(argc, argv);
  PMPI_Comm_free(&meeting);
  world.reset();
  return status;
}
