#include "tensor/boxes.hpp"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/element_types.hpp"

namespace tartan {
namespace {

/// One dimension of a strided walk: neighbouring dimensions that lie densely in both buffers are merged into one.
struct Loop {
  Index extent;
  Index source_stride;
  Index target_stride;
};

struct Walk {
  std::vector<Loop> loops;  ///< innermost first; loops[0] has stride 1 in both buffers
  Index source_start = 0;
  Index target_start = 0;
};

Walk walk_of(const Box& source_box, const Box& target_box, const Box& part) {
  Walk walk{.loops = {{1, 1, 1}}};
  Index source_stride = 1;
  Index target_stride = 1;
  for (int dim = part.dimensions() - 1; dim >= 0; --dim) {
    const Index extent = part[dim].extent();
    walk.source_start += (part[dim].begin - source_box[dim].begin) * source_stride;
    walk.target_start += (part[dim].begin - target_box[dim].begin) * target_stride;
    auto& last = walk.loops.back();
    if (source_stride == last.extent * last.source_stride && target_stride == last.extent * last.target_stride) {
      last.extent *= extent;
    } else if (extent != 1) {
      walk.loops.push_back({extent, source_stride, target_stride});
    }
    source_stride *= source_box[dim].extent();
    target_stride *= target_box[dim].extent();
  }
  return walk;
}

/// Calls `rows(source, target, loop)` for every run of rows along the second loop.
template <class Rows>
void for_each_run(const Walk& walk, std::size_t level, Index source, Index target, const Rows& rows) {
  if (level == 0) return rows(source, target, Loop{1, 0, 0});
  const auto& loop = walk.loops[level];
  if (level == 1) return rows(source, target, loop);
  for (Index i = 0; i < loop.extent; ++i) {
    for_each_run(walk, level - 1, source + i * loop.source_stride, target + i * loop.target_stride, rows);
  }
}

constexpr std::size_t cache_line = 64;

/// Copies `bytes`, a multiple of the line, past the cache, to a target that starts on a line.
void stream(std::byte* target, const std::byte* source, std::size_t bytes) {
#ifdef __SSE2__
  constexpr std::size_t vectors = cache_line / sizeof(__m128i);
  for (std::size_t i = 0; i < bytes; i += cache_line) {
    __m128i line[vectors];
    std::memcpy(line, source + i, cache_line);
    for (std::size_t k = 0; k < vectors; ++k) _mm_stream_si128(reinterpret_cast<__m128i*>(target + i) + k, line[k]);
  }
#else
  std::memcpy(target, source, bytes);
#endif
}

void end_streams() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

/// Rows of `width` bytes, all strides in bytes.
struct Rows {
  std::size_t width;
  Loop loop;

  template <class Copy>
  void each(const std::byte* source, std::byte* target, const Copy& copy) const {
    for (Index i = 0; i < loop.extent; ++i) copy(target + i * loop.target_stride, source + i * loop.source_stride);
  }

  /// `total` is what the whole copy brings: more than a cache holds goes past it, which saves reading the target (and
  /// gains nothing where the source is what lies scattered).
  void copy(const std::byte* source, std::byte* target, std::size_t total) const {
    const auto misaligned = reinterpret_cast<std::uintptr_t>(target) | static_cast<std::size_t>(loop.target_stride);
    const bool dense = std::cmp_equal(loop.source_stride, width);
    if (total >= streamed_from && dense && (misaligned | width) % cache_line == 0) {
      each(source, target, [this](std::byte* t, const std::byte* s) { stream(t, s, width); });
      return end_streams();
    }
    // A width that the compiler knows needs no call.
    switch (width) {
      case 4:
        return each(source, target, [](std::byte* t, const std::byte* s) { std::memcpy(t, s, 4); });
      case 8:
        return each(source, target, [](std::byte* t, const std::byte* s) { std::memcpy(t, s, 8); });
      case 16:
        return each(source, target, [](std::byte* t, const std::byte* s) { std::memcpy(t, s, 16); });
      case 32:
        return each(source, target, [](std::byte* t, const std::byte* s) { std::memcpy(t, s, 32); });
      default:
        return each(source, target, [this](std::byte* t, const std::byte* s) { std::memcpy(t, s, width); });
    }
  }

 private:
  static constexpr std::size_t streamed_from = std::size_t{1} << 24;
};

template <class T>
Rows rows_of(Index width, const Loop& loop) {
  constexpr auto size = static_cast<Index>(sizeof(T));
  return {static_cast<std::size_t>(width * size), {loop.extent, loop.source_stride * size, loop.target_stride * size}};
}

template <class T>
void copy_rows(const T* source, T* target, Index width, const Loop& loop, Index total) {
  rows_of<T>(width, loop)
      .copy(reinterpret_cast<const std::byte*>(source), reinterpret_cast<std::byte*>(target),
            static_cast<std::size_t>(total) * sizeof(T));
}

/// Calls `copy(column block in the matrix, in its own matrix, width, rows, total)` tile by tile, so that whole rows of
/// the matrix pass while they are in the nearest cache.
template <class Copy>
void for_each_tile(Index rows, std::span<const Index> widths, const Copy& copy) {
  constexpr Index tile = 1 << 12;
  const Index columns = std::reduce(widths.begin(), widths.end());
  const Index step = std::max<Index>(tile / std::max<Index>(columns, 1), 1);
  for (Index row = 0; row < rows; row += step) {
    const Index some = std::min(step, rows - row);
    Index first = 0;
    for (const Index width : widths) {
      if (width > 0) copy(row * columns + first, first * rows + row * width, width, some, columns);
      first += width;
    }
  }
}

}  // namespace

template <class T>
void copy_box(const T* source, const Box& source_box, T* target, const Box& target_box, const Box& part) {
  if (part.empty()) return;
  const auto walk = walk_of(source_box, target_box, part);
  const Index total = part.elements();
  for_each_run(walk, walk.loops.size() - 1, walk.source_start, walk.target_start,
               [&](Index s, Index t, const Loop& loop) {
                 copy_rows(source + s, target + t, walk.loops[0].extent, loop, total);
               });
}

template <class T>
void add_box(const T* source, const Box& source_box, T* target, const Box& target_box, const Box& part) {
  if (part.empty()) return;
  const auto walk = walk_of(source_box, target_box, part);
  const Index width = walk.loops[0].extent;
  for_each_run(walk, walk.loops.size() - 1, walk.source_start, walk.target_start,
               [&](Index s, Index t, const Loop& loop) {
                 for (Index row = 0; row < loop.extent; ++row, s += loop.source_stride, t += loop.target_stride) {
                   for (Index i = 0; i < width; ++i) target[t + i] += source[s + i];
                 }
               });
}

template <class T>
void split_columns(const T* matrix, Index rows, std::span<const Index> widths, T* blocks) {
  for_each_tile(rows, widths, [&](Index from, Index to, Index width, Index some, Index columns) {
    copy_rows(matrix + from, blocks + to, width, {some, columns, width}, rows * columns);
  });
}

template <class T>
void join_columns(const T* blocks, Index rows, std::span<const Index> widths, T* matrix) {
  for_each_tile(rows, widths, [&](Index to, Index from, Index width, Index some, Index columns) {
    copy_rows(blocks + from, matrix + to, width, {some, width, columns}, rows * columns);
  });
}

#define INSTANTIATE(T)                                                         \
  template void copy_box<T>(const T*, const Box&, T*, const Box&, const Box&); \
  template void add_box<T>(const T*, const Box&, T*, const Box&, const Box&);  \
  template void split_columns<T>(const T*, Index, std::span<const Index>, T*); \
  template void join_columns<T>(const T*, Index, std::span<const Index>, T*);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
