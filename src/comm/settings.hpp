#pragma once

#include <optional>

#include "comm/transport.hpp"

namespace tartan {

/// Throws Error where TARTAN_CHECKS, TARTAN_DEADLINE, TARTAN_THREADS or TARTAN_TRANSPORT hold no legal value.
void require_valid_settings();

/// What TARTAN_TRANSPORT asks for.
std::optional<Transport> transport_setting();

}  // namespace tartan
