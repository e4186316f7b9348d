#pragma once

namespace tartan {

/// Whether Tensor::span() and [] give away what lies on a device: never, unless tests say so, whose simulated devices
/// have memory that the host can be let into.
bool host_reads_devices() noexcept;
void let_host_read_devices(bool allowed) noexcept;

}  // namespace tartan
