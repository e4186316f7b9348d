#include "comm/overlap.hpp"

#include <utility>

#include "comm/mpi_call.hpp"

namespace tartan {
namespace {

thread_local const OverlappedWork* waiting = nullptr;

}  // namespace

bool overlapped(const std::function<void()>& move, const OverlappedWork& work) {
  const struct Offer {
    explicit Offer(const OverlappedWork& work) { waiting = &work; }
    ~Offer() { waiting = before; }
    const OverlappedWork* before = waiting;
  } offer(work);
  move();
  return waiting == nullptr;
}

bool has_overlapped_work() noexcept { return waiting != nullptr; }

void wait_beside_work(std::vector<MPI_Request>& requests, const Communicator& communicator, const char* operation) {
  const auto& work = *std::exchange(waiting, nullptr);
  const auto count = static_cast<int>(requests.size());
  const auto progress = [&] {
    int done = 0;
    check_mpi(MPI_Testall(count, requests.data(), &done, MPI_STATUSES_IGNORE), communicator, operation);
  };
  const auto wait = [&] {
    check_mpi(MPI_Waitall(count, requests.data(), MPI_STATUSES_IGNORE), communicator, operation);
  };
  try {
    work(progress);
  } catch (const MpiError&) {
    throw;
  } catch (...) {
    wait();  // MPI still reads and writes the caller's memory
    throw;
  }
  wait();
}

}  // namespace tartan
