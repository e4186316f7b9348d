#pragma once

#include <tartan/base/half_types.hpp>

namespace tartan::kernels {

/// What kernels compute in: float for bfloat16 and half, double for double. Results are rounded to T where they are
/// stored, and nowhere else.
using tartan::Accumulator;

}  // namespace tartan::kernels
