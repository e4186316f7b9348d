#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/multiversion.hpp"
#include "kernels/cpu/stream.hpp"
#include "kernels/cpu/widths.hpp"
#include "kernels/view.hpp"

namespace tartan::kernels {

/// The rows of a table as bytes, and the row that stands for those it does not hold.
struct Source {
  template <class T>
  Source(Matrix<const T> table, Index first, const T* absent_row)
      : data{reinterpret_cast<const std::byte*>(table.data)},
        first_row{static_cast<std::uint64_t>(first)},
        rows{static_cast<std::uint64_t>(table.rows)},
        stride{table.stride * sizeof(T)},
        absent{reinterpret_cast<const std::byte*>(absent_row)} {}

  const std::byte* data;
  std::uint64_t first_row;
  std::uint64_t rows;
  std::size_t stride;
  const std::byte* absent;

  template <class I>
  TARTAN_INLINE const std::byte* row(I id) const {
    const std::uint64_t local = static_cast<std::uint64_t>(static_cast<Index>(id)) - first_row;
    return local < rows ? data + local * stride : absent;
  }
};

/// `count` rows of `bytes` bytes, each `stride` bytes after the one before; written past the caches if `streamed`.
struct Destination {
  std::byte* data;
  Index count;
  std::size_t bytes;
  std::size_t stride;
  bool streamed;
};

/// Whether `count` rows of `bytes` bytes, `stride` bytes apart, are worth writing past the caches: an output that is
/// large, in whole units of stream_copy(), and in whole lines of the cache where something else lies between the rows.
inline bool worth_streaming(const void* data, std::size_t bytes, std::size_t stride, Index count) {
  const std::size_t unit = bytes == stride ? stream_unit : 64;
  return static_cast<std::size_t>(count) * stride >= streamed_bytes &&
         (reinterpret_cast<std::uintptr_t>(data) | bytes | stride) % unit == 0;
}

/// Row i of `out` becomes the source's row ids[i · step]. `ask(i)` is called before, for the rows that come later.
template <class I, class Ask>
TARTAN_INLINE void gather(const Source& source, const I* ids, Index step, const Destination& out, Ask ask) {
  if (out.bytes == 0) return;  // there may be no memory at all, which memcpy must not be given
  const auto copy = [&](auto bytes) __attribute__((always_inline)) {
    if (out.streamed) {
      for (Index i = 0; i < out.count; ++i) {
        ask(i, bytes);
        stream_copy(out.data + static_cast<std::size_t>(i) * out.stride, source.row(ids[i * step]), bytes);
      }
      stream_end();
      return;
    }
    for (Index i = 0; i < out.count; ++i) {
      ask(i, bytes);
      std::memcpy(out.data + static_cast<std::size_t>(i) * out.stride, source.row(ids[i * step]), bytes);
    }
  };
  if (out.bytes % 4 != 0) return copy(out.bytes);
  with_width(
      static_cast<Index>(out.bytes / 4), [&](auto words) __attribute__((always_inline)) {
        copy(static_cast<std::size_t>(4 * words));
      });
}

}  // namespace tartan::kernels
