#include <tartan/comm/agreement.hpp>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include <tartan/comm/recorder.hpp>

#include "base/fail.hpp"
#include "comm/exception_text.hpp"
#include "comm/mpi_call.hpp"

namespace tartan {
namespace {

void record_agreement(const Communicator& communicator, Index bytes) {
  if (recording()) record({Collective::agreement, communicator.name(), communicator.size(), bytes});
}

void compare_call(const Communicator& communicator, const char* call) {
  if (checks() == Checks::collective) check_collective(communicator, [&] { return std::string(call); });
}

/// Who says what.
struct Report {
  int root_rank = -1;
  std::string text = {};
};

/// The report of `root` on every rank.
Report share(const Communicator& communicator, Report report, int root) {
  auto& text = report.text;
  constexpr std::size_t longest = 1 << 20;
  if (text.size() > longest) text.resize(longest);
  std::array<std::int64_t, 2> head{report.root_rank, std::ssize(text)};
  check_mpi(MPI_Bcast(head.data(), 2, MPI_INT64_T, root, communicator.native()), communicator, "agreement");
  report.root_rank = static_cast<int>(head[0]);
  text.resize(static_cast<std::size_t>(head[1]));
  check_mpi(MPI_Bcast(text.data(), static_cast<int>(head[1]), MPI_CHAR, root, communicator.native()), communicator,
            "agreement");
  return report;
}

/// What this rank's `error` is to the others: a RemoteError is still the fault of the rank that it names.
Report report_of(const Communicator& communicator, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const RemoteError& remote) {
    return {remote.rank(), remote.text()};
  } catch (...) {
    return {communicator.root_rank(), exception_text(error)};
  }
}

std::int32_t lowest(const Communicator& communicator, std::int32_t mine) {
  std::int32_t result = mine;
  check_mpi(MPI_Allreduce(&mine, &result, 1, MPI_INT32_T, MPI_MIN, communicator.native()), communicator, "agreement");
  return result;
}

template <std::size_t N>
std::array<std::uint64_t, N> lowest(const Communicator& communicator, std::array<std::uint64_t, N> mine) {
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, mine.data(), N, MPI_UINT64_T, MPI_MIN, communicator.native()), communicator,
            "agreement");
  return mine;
}

/// FNV-1a.
std::uint64_t hash(std::string_view text) {
  std::uint64_t value = 0xcbf29ce484222325u;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return value;
}

/// False where nothing is agreed. What is not agreed but thrown at once is thrown here.
bool begin(const Communicator& communicator, const char* call, Fault fault, const std::exception_ptr& mine,
           Index bytes) {
  if (fault == Fault::mpi || (fault != Fault::none && checks() == Checks::off)) std::rethrow_exception(mine);
  if (checks() == Checks::off) return false;
  communicator.require_usable();
  compare_call(communicator, call);
  record_agreement(communicator, bytes);
  return true;
}

constexpr std::int32_t nobody = INT32_MAX;

/// This rank as a culprit. A RemoteError is second choice: it only repeats what another rank did wrong.
std::int32_t candidate(const Communicator& communicator, Fault fault) {
  if (fault == Fault::none) return nobody;
  return communicator.rank() + (fault == Fault::remote ? communicator.size() : 0);
}

/// Every rank throws: its own exception, or what the culprit says of its.
[[noreturn]] void raise(const Communicator& communicator, Fault fault, const std::exception_ptr& mine,
                        std::int32_t culprit) {
  const int root = culprit % communicator.size();
  const auto report = share(communicator, mine ? report_of(communicator, mine) : Report{}, root);
  if (fault == Fault::none) throw RemoteError(report.root_rank, report.text);
  std::rethrow_exception(mine);
}

/// For every rank, where their values differ.
[[noreturn]] void tell_difference(const Communicator& communicator, std::string_view what, std::string_view value) {
  const Report mine{communicator.root_rank(), std::string(value)};
  const auto expected = share(communicator, mine, 0).text;
  const int differs = lowest(communicator, value == expected ? nobody : communicator.rank());
  const auto found = share(communicator, mine, differs).text;
  fail("{} differs between the ranks of \"{}\": rank 0 has {}, rank {} has {}", what, communicator.name(), expected,
       differs, found);
}

}  // namespace

void agree(const Communicator& communicator, std::exception_ptr mine) {
  const Fault fault = classify(mine);
  if (!begin(communicator, "agree()", fault, mine, sizeof(std::int32_t))) return;
  if (communicator.size() > 1) {
    const auto culprit = lowest(communicator, candidate(communicator, fault));
    if (culprit == nobody) return;
    raise(communicator, fault, mine, culprit);
  }
  if (mine) std::rethrow_exception(mine);
}

void agree(const Communicator& communicator, std::exception_ptr mine, std::string_view what, std::string_view value) {
  const Fault fault = classify(mine);
  if (!begin(communicator, "agree()", fault, mine, 2 * sizeof(std::uint64_t))) return;
  if (communicator.size() > 1) {
    // A culprit is less than every hash.
    constexpr std::uint64_t top = std::uint64_t{1} << 63;
    const std::uint64_t hashed = hash(value) | top;
    const auto said = fault == Fault::none ? hashed : static_cast<std::uint64_t>(candidate(communicator, fault));
    const auto least = lowest(communicator, std::array{said, ~hashed | top});
    if (least[0] < top) raise(communicator, fault, mine, static_cast<std::int32_t>(least[0]));
    if (least[0] != (~least[1] | top)) tell_difference(communicator, what, value);
  }
  if (mine) std::rethrow_exception(mine);
}

void same_on_all(const Communicator& communicator, std::string_view what, std::string_view value) {
  if (!begin(communicator, "same_on_all()", Fault::none, nullptr, 2 * sizeof(std::uint64_t))) return;
  if (communicator.size() == 1) return;
  const std::uint64_t hashed = hash(value);
  const auto least = lowest(communicator, std::array{hashed, ~hashed});
  if (least[0] != ~least[1]) tell_difference(communicator, what, value);
}

void check_collective(const Communicator& communicator, const std::function<std::string()>& operation) {
  if (checks() != Checks::collective) return;
  communicator.require_usable();
  if (communicator.size() == 1) return;

  using Fingerprint = std::array<char, 256>;
  struct Exchange {
    Fingerprint mine{};
    std::vector<Fingerprint> all;
  };
  auto exchange = std::make_unique<Exchange>();
  exchange->all.resize(static_cast<std::size_t>(communicator.size()));
  std::string text = operation();
  if (text.size() >= std::tuple_size_v<Fingerprint>) {
    text = fmt::format("{}... #{:016x}", text.substr(0, std::tuple_size_v<Fingerprint> - 24), hash(text));
  }
  std::ranges::copy(text, exchange->mine.begin());

  constexpr int bytes = sizeof(Fingerprint);
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Iallgather(exchange->mine.data(), bytes, MPI_BYTE, exchange->all.data(), bytes, MPI_BYTE,
                           communicator.native(), &request),
            communicator, "comparison");
  const auto code = complete_within(request, collective_deadline());
  if (!code) {
    (void)exchange.release();  // MPI may still write there when the others come after all
    const auto why =
        fmt::format("rank {} of \"{}\" calls {}, but not all its peers came within {:g} s", communicator.rank(),
                    communicator.name(), text, static_cast<double>(collective_deadline().count()) / 1000);
    communicator.mark_failed(why);
    throw MpiError(why, -1);
  }
  check_mpi(*code, communicator, "comparison");

  const auto& all = exchange->all;
  const auto other = std::ranges::find_if(all, [&](const Fingerprint& f) { return f != all.front(); });
  require(other == all.end(), "mismatched calls on \"{}\": rank 0 calls {}, rank {} calls {}", communicator.name(),
          all.front().data(), other - all.begin(), other == all.end() ? "" : other->data());
}

}  // namespace tartan
