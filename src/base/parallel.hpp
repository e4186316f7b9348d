#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string_view>

#include <tartan/base/index.hpp>
#include <tartan/base/threads.hpp>

namespace tartan {

/// The number of threads that a text asks for, if it is a legal one.
std::optional<int> parse_threads(std::string_view text);

/// Memory traffic for which waking a thread is worth it: 256 KiB unless set, as tests do.
Index parallel_bytes() noexcept;
void set_parallel_bytes(Index bytes) noexcept;

/// Calls task(0), ..., task(parts - 1), in any order, on up to threads() threads, this one among them, and rethrows
/// what one of them threw. While another call is under way, all of them run here.
void run_parts(Index parts, const std::function<void(Index)>& task);

/// Calls body(begin, end) on consecutive ranges that make up [0, count), as run_parts() does; `bytes` is about what one
/// index moves in memory. More ranges than threads let uneven ones even out.
template <class Body>
void parallel(Index count, Index bytes, Body body, Index ranges_per_thread = 4) {
  const auto worth = static_cast<Index>(static_cast<double>(count) * static_cast<double>(bytes) /
                                        static_cast<double>(parallel_bytes()));
  const Index parts = std::min({threads() * ranges_per_thread, worth, count});
  if (threads() == 1 || parts < 2) {
    body(Index{0}, count);
  } else {
    run_parts(parts, [&](Index part) { body(count * part / parts, count * (part + 1) / parts); });
  }
}

}  // namespace tartan
