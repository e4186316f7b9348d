#pragma once

namespace tartan {

/// How many threads of this process the kernels run on at most, the calling one among them: one, or TARTAN_THREADS,
/// unless set. No bit of any result depends on it, and small calls stay on the calling thread. Concerns this rank only.
int threads() noexcept;
/// Throws Error unless 1 <= count <= 1024. The other threads start when they are first needed and sleep between calls.
void set_threads(int count);

}  // namespace tartan
