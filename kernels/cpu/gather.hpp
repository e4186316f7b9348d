#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/multiversion.hpp"
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

/// `count` rows of `bytes` bytes, each `stride` bytes after the one before, in the kernel's memory.
struct Destination {
  std::byte* data;
  Index count;
  std::size_t bytes;
  std::size_t stride;
};

/// Row i of `out` becomes the source's row ids[i · step]. `ask(i)` is called before, for the rows that come later.
template <class I, class Ask>
TARTAN_INLINE void gather(const Source& source, const I* ids, Index step, const Destination& out, Ask ask) {
  with_width(
      static_cast<Index>(out.bytes / 4), [&](auto words) __attribute__((always_inline)) {
        for (Index i = 0; i < out.count; ++i) {
          ask(i, 4 * words);
          std::memcpy(out.data + static_cast<std::size_t>(i) * out.stride, source.row(ids[i * step]), 4 * words);
        }
      });
}

}  // namespace tartan::kernels
