#pragma once

namespace tartan {

/// Throws Error where TARTAN_CHECKS, TARTAN_DEADLINE or TARTAN_THREADS hold no legal value.
void require_valid_settings();

}  // namespace tartan
