#pragma once

namespace tartan {

/// Throws Error where TARTAN_CHECKS or TARTAN_DEADLINE hold no legal value.
void require_valid_settings();

}  // namespace tartan
