#include <tartan/comm/communicator.hpp>

#include <algorithm>
#include <exception>
#include <thread>
#include <tuple>

#include <tartan/comm/agreement.hpp>

#include "base/fail.hpp"
#include "comm/mpi_call.hpp"
#include "comm/settings.hpp"

namespace tartan {
namespace {

/// Shared by a communicator and all that descend from it.
struct Family {
  int root_rank = -1;
  bool failed = false;
  std::string why;
};

bool mpi_is_up() {
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  return initialized != 0 && finalized == 0;
}

std::string error_text(int code) {
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) return fmt::format("MPI error {}", code);
  return {text, static_cast<std::size_t>(length)};
}

}  // namespace

struct Communicator::State {
  State(std::string name_, std::shared_ptr<Family> family_) : name{std::move(name_)}, family{std::move(family_)} {}

  // Freeing is collective by MPI's rules, so it is left out where the ranks may have parted.
  ~State() {
    if (comm != MPI_COMM_NULL && std::uncaught_exceptions() == 0 && !family->failed && mpi_is_up()) {
      MPI_Comm_free(&comm);
    }
  }

  State(const State&) = delete;
  State& operator=(const State&) = delete;

  /// Takes over a new communicator.
  void adopt(int code, const char* operation) {
    if (code == MPI_SUCCESS) code = MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS) code = MPI_Comm_rank(comm, &rank);
    if (code == MPI_SUCCESS) code = MPI_Comm_size(comm, &size);
    if (code == MPI_SUCCESS) return;
    family->failed = true;
    family->why = fmt::format("{} of \"{}\": {}", operation, name, error_text(code));
    throw MpiError(family->why, code);
  }

  MPI_Comm comm = MPI_COMM_NULL;
  int rank = -1;
  int size = 0;
  std::string name;
  std::shared_ptr<Family> family;
};

Communicator::Communicator(MPI_Comm parent, std::string name) {
  require_valid_settings();
  require(mpi_is_up(), "the communicator \"{}\" needs MPI: it is not initialised or already finalised", name);
  require(parent != MPI_COMM_NULL, "the communicator \"{}\" needs a parent that is not MPI_COMM_NULL", name);
  state_ = std::make_shared<State>(std::move(name), std::make_shared<Family>());
  state_->adopt(MPI_Comm_dup(parent, &state_->comm), "duplicate");
  state_->family->root_rank = state_->rank;
}

int Communicator::rank() const noexcept { return state_ ? state_->rank : -1; }
int Communicator::size() const noexcept { return state_ ? state_->size : 0; }

int Communicator::root_rank() const noexcept { return state_ ? state_->family->root_rank : -1; }

const std::string& Communicator::name() const noexcept {
  static const std::string null = "null";
  return state_ ? state_->name : null;
}

MPI_Comm Communicator::native() const { return state_ ? state_->comm : MPI_COMM_NULL; }

Communicator Communicator::dup(std::string name) const {
  require_usable();
  if (checks() == Checks::collective) check_collective(*this, [] { return std::string("dup()"); });
  Communicator result;
  result.state_ = std::make_shared<State>(std::move(name), state_->family);
  result.state_->adopt(MPI_Comm_dup(state_->comm, &result.state_->comm), "duplicate");
  return result;
}

Communicator Communicator::split(int color, int key, std::string name) const {
  require_usable();
  if (checks() == Checks::collective) check_collective(*this, [] { return std::string("split()"); });
  auto state = std::make_shared<State>(std::move(name), state_->family);
  const int code = MPI_Comm_split(state_->comm, color < 0 ? MPI_UNDEFINED : color, key, &state->comm);
  Communicator result;
  if (code == MPI_SUCCESS && state->comm == MPI_COMM_NULL) return result;
  state->adopt(code, "split");
  result.state_ = std::move(state);
  return result;
}

int Communicator::rank_on_node() const {
  require_usable();
  if (checks() == Checks::collective) check_collective(*this, [] { return std::string("rank_on_node()"); });
  State node("node", state_->family);
  node.adopt(MPI_Comm_split_type(state_->comm, MPI_COMM_TYPE_SHARED, rank(), MPI_INFO_NULL, &node.comm), "split");
  return node.rank;
}

void Communicator::require_usable() const {
  require(state_ != nullptr, "the null communicator cannot communicate");
  require(mpi_is_up(), "\"{}\" is asked to communicate after MPI was finalised: let nothing that does outlive it",
          state_->name);
  if (state_->family->failed) {
    throw MpiError(fmt::format("the communicator \"{}\" is finished after: {}", state_->name, state_->family->why), -1);
  }
}

void Communicator::mark_failed(const std::string& why) const {
  require(state_ != nullptr, "the null communicator cannot fail: {}", why);
  if (std::exchange(state_->family->failed, true)) return;
  state_->family->why = why;
}

void throw_mpi_error(int code, const Communicator& communicator, const char* operation) {
  const auto text =
      fmt::format("{} on \"{}\", rank {}: {}", operation, communicator.name(), communicator.rank(), error_text(code));
  communicator.mark_failed(text);
  throw MpiError(text, code);
}

std::optional<int> complete_within(MPI_Request& request, std::chrono::milliseconds deadline) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  while (true) {
    int done = 0;
    const int code = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS || done != 0) return code;
    const auto waited = Clock::now() - start;
    if (waited > deadline) return std::nullopt;
    // Peers on the same core come sooner where this rank does not spin.
    if (waited > std::chrono::milliseconds{1}) {
      std::this_thread::sleep_for(std::chrono::microseconds{100});
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace tartan
