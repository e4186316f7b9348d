#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <tartan/comm/communicator.hpp>

namespace tartan {

/// Collective over `communicator`: one reduction of 4 bytes (recorded as an agreement, not as traffic). Where any rank
/// brings an exception, every rank throws: those that brought one rethrow it, the others throw RemoteError with the
/// text of the lowest culprit (where it can be, of one that brought something else than a RemoteError). MpiError is not
/// agreed but rethrown at once. With TARTAN_CHECKS=off nothing is sent, and only the culprit throws.
void agree(const Communicator& communicator, std::exception_ptr mine);
/// The same, and where no rank brings an exception, same_on_all() of `what` and `value`: one reduction of 16 bytes.
void agree(const Communicator& communicator, std::exception_ptr mine, std::string_view what, std::string_view value);

/// Collective over `communicator`: runs `body` on every rank and agrees on its outcome. `body` must not communicate.
template <class F>
std::invoke_result_t<F> collectively(const Communicator& communicator, F&& body) {
  using Result = std::invoke_result_t<F>;
  std::exception_ptr error;
  if constexpr (std::is_void_v<Result>) {
    try {
      std::forward<F>(body)();
    } catch (...) {
      error = std::current_exception();
    }
    agree(communicator, error);
  } else {
    std::optional<Result> result;
    try {
      result.emplace(std::forward<F>(body)());
    } catch (...) {
      error = std::current_exception();
    }
    agree(communicator, error);
    return std::move(*result);
  }
}

/// Collective over `communicator`: throws Error on every rank, naming `what`, the lowest rank that differs from rank 0
/// and both values, unless `value` is the same text everywhere. One reduction of 16 bytes, recorded as an agreement;
/// none with TARTAN_CHECKS=off.
void same_on_all(const Communicator& communicator, std::string_view what, std::string_view value);

/// How much is verified at run time; TARTAN_CHECKS=off|local|collective sets the initial value.
enum class Checks {
  off,         ///< faults that one rank sees are thrown on that rank only
  local,       ///< the default: faults of one rank's data are agreed and thrown on every rank
  collective,  ///< also: every operation is compared between all ranks before it starts, with a deadline
};
Checks checks() noexcept;
/// To be called with the same value on every rank.
void set_checks(Checks checks) noexcept;

/// How long a compared operation waits for the other ranks: 10 s, or TARTAN_DEADLINE seconds, unless set.
std::chrono::milliseconds collective_deadline() noexcept;
void set_collective_deadline(std::chrono::milliseconds deadline) noexcept;

/// Under Checks::collective, collective over `communicator`: compares `operation` (its name and its metadata as text)
/// between the ranks. A mismatch throws Error on every rank, naming the ranks and both texts; a rank that does not come
/// within collective_deadline() throws MpiError on the ranks that did and finishes the communicator. Does nothing under
/// other checks; the text is only made where it is needed.
void check_collective(const Communicator& communicator, const std::function<std::string()>& operation);

}  // namespace tartan
