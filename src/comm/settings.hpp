#pragma once

#include <chrono>
#include <optional>

#include "comm/transport.hpp"

namespace tartan {

/// Throws Error where TARTAN_CHECKS, TARTAN_DEADLINE, TARTAN_END_DEADLINE, TARTAN_THREADS or TARTAN_TRANSPORT hold no
/// legal value.
void require_valid_settings();

/// How long a rank at its end waits for the others where nothing has failed: an hour, or TARTAN_END_DEADLINE seconds.
std::chrono::milliseconds end_deadline();

/// What TARTAN_TRANSPORT asks for.
std::optional<Transport> transport_setting();

}  // namespace tartan
