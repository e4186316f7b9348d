#include "comm/settings.hpp"

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string_view>

#include <tartan/comm/agreement.hpp>
#include <tartan/comm/communicator.hpp>
#include <tartan/comm/environment.hpp>

#include "base/fail.hpp"
#include "base/parallel.hpp"

namespace tartan {
namespace {

using std::chrono::milliseconds;

/// The text of a variable, none where it is unset or empty.
std::optional<std::string_view> variable(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return text;
}

std::optional<Checks> parse_checks(std::string_view text) {
  if (text == "off") return Checks::off;
  if (text == "local") return Checks::local;
  if (text == "collective") return Checks::collective;
  return std::nullopt;
}

std::optional<milliseconds> parse_deadline(std::string_view text) {
  char* end = nullptr;
  const double seconds = std::strtod(text.data(), &end);
  if (end != text.data() + text.size() || !(seconds > 0) || seconds > 1e9) return std::nullopt;
  return milliseconds{std::llround(std::ceil(seconds * 1000))};
}

std::optional<Transport> parse_transport(std::string_view text) {
  if (text == "staging") return Transport::staging;
  if (text == "mpi") return Transport::mpi;
  if (text == "nccl") return Transport::nccl;
  return std::nullopt;
}

template <class T, class Parse>
T initial(const char* name, Parse parse, T otherwise) {
  const auto text = variable(name);
  return text ? parse(*text).value_or(otherwise) : otherwise;
}

std::atomic<Checks>& current_checks() {
  static std::atomic<Checks> value{initial("TARTAN_CHECKS", parse_checks, Checks::local)};
  return value;
}

std::atomic<milliseconds>& current_deadline() {
  static std::atomic<milliseconds> value{initial("TARTAN_DEADLINE", parse_deadline, milliseconds{3'000})};
  return value;
}

std::atomic<milliseconds>& current_collective_deadline() {
  static std::atomic<milliseconds> value{initial("TARTAN_DEADLINE", parse_deadline, milliseconds{10'000})};
  return value;
}

std::atomic<Index> current_chunk_bytes{Index{1} << 30};

}  // namespace

void require_valid_settings() {
  const auto checks = variable("TARTAN_CHECKS");
  require(!checks || parse_checks(*checks), "TARTAN_CHECKS is \"{}\", expected off, local or collective",
          checks.value_or(""));
  for (const char* name : {"TARTAN_DEADLINE", "TARTAN_END_DEADLINE"}) {
    const auto deadline = variable(name);
    require(!deadline || parse_deadline(*deadline), "{} is \"{}\", expected a positive number of seconds", name,
            deadline.value_or(""));
  }
  const auto threads = variable("TARTAN_THREADS");
  require(!threads || parse_threads(*threads), "TARTAN_THREADS is \"{}\", expected 1 to 1024", threads.value_or(""));
  const auto transport = variable("TARTAN_TRANSPORT");
  require(!transport || parse_transport(*transport), "TARTAN_TRANSPORT is \"{}\", expected staging, mpi or nccl",
          transport.value_or(""));
}

milliseconds end_deadline() { return initial("TARTAN_END_DEADLINE", parse_deadline, milliseconds{3'600'000}); }

std::optional<Transport> transport_setting() {
  const auto text = variable("TARTAN_TRANSPORT");
  return text ? parse_transport(*text) : std::nullopt;
}

Checks checks() noexcept { return current_checks().load(std::memory_order_relaxed); }
void set_checks(Checks checks) noexcept { current_checks() = checks; }

milliseconds collective_deadline() noexcept { return current_collective_deadline(); }
void set_collective_deadline(milliseconds deadline) noexcept { current_collective_deadline() = deadline; }

milliseconds Environment::deadline() noexcept { return current_deadline(); }
void Environment::set_deadline(milliseconds deadline) noexcept { current_deadline() = deadline; }

Index chunk_bytes() noexcept { return current_chunk_bytes.load(std::memory_order_relaxed); }
void set_chunk_bytes(Index bytes) {
  require(bytes >= 1, "the chunk size is {} bytes, expected at least 1", bytes);
  current_chunk_bytes = bytes;
}

}  // namespace tartan
