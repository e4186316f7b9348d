#pragma once

#include <cstddef>
#include <cstring>

#include "kernels/cpu/multiversion.hpp"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace tartan::kernels {

/// From so many bytes on an output is written past the caches: it would be gone from them before anyone reads it, and
/// its lines need not be read before they are overwritten.
inline constexpr std::size_t streamed_bytes = std::size_t{1} << 23;

/// The unit of stream_copy().
inline constexpr std::size_t stream_unit = 16;

#if defined(__x86_64__)

/// memcpy past the caches; `out` and `bytes` are multiples of stream_unit. stream_end() comes before another thread
/// reads.
TARTAN_INLINE void stream_copy(std::byte* out, const std::byte* in, std::size_t bytes) {
  for (std::size_t b = 0; b < bytes; b += stream_unit) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(out + b), _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + b)));
  }
}
TARTAN_INLINE void stream_end() { _mm_sfence(); }

#else

TARTAN_INLINE void stream_copy(std::byte* out, const std::byte* in, std::size_t bytes) { std::memcpy(out, in, bytes); }
TARTAN_INLINE void stream_end() {}

#endif

}  // namespace tartan::kernels
