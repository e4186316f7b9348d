#include "kernels/boxes.hpp"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "base/element_types.hpp"
#include "kernels/walk.hpp"

namespace tartan::kernels {
namespace {

using Loop = Walk::Loop;

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

/// What was streamed is seen by others before what is written from here on.
void end_streams() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

/// A target of so much lies in no cache, and writing past it saves reading it first.
template <class T>
bool is_streamed(Index elements) {
  return elements >= (Index{1} << 24) / static_cast<Index>(sizeof(T));
}

/// Copies rows of `width` elements along `loop`.
template <class T>
void copy_rows(const T* source, T* target, Index width, const Loop& loop, bool streamed) {
  constexpr auto size = static_cast<Index>(sizeof(T));
  // By value: a byte that is written might be one of `loop` for all that the compiler knows.
  const auto each = [from = reinterpret_cast<const std::byte*>(source), to = reinterpret_cast<std::byte*>(target),
                     extent = loop.extent, source_step = loop.source_stride * size,
                     target_step = loop.target_stride * size](const auto& copy) {
    for (Index i = 0; i < extent; ++i) copy(to + i * target_step, from + i * source_step);
  };
  const auto bytes = static_cast<std::size_t>(width) * sizeof(T);
  const auto lines =
      reinterpret_cast<std::uintptr_t>(target) | static_cast<std::size_t>(loop.target_stride) * sizeof(T);
  if (streamed && (lines | bytes) % cache_line == 0) {
    return each([=](std::byte* to, const std::byte* from) { stream(to, from, bytes); });
  }
  // A width that the compiler knows needs no call.
  switch (bytes) {
    case 4:
      return each([](std::byte* to, const std::byte* from) { std::memcpy(to, from, 4); });
    case 8:
      return each([](std::byte* to, const std::byte* from) { std::memcpy(to, from, 8); });
    case 16:
      return each([](std::byte* to, const std::byte* from) { std::memcpy(to, from, 16); });
    case 32:
      return each([](std::byte* to, const std::byte* from) { std::memcpy(to, from, 32); });
    default:
      return each([=](std::byte* to, const std::byte* from) { std::memcpy(to, from, bytes); });
  }
}

/// Calls `copy(column block in the matrix, in its own matrix, width, rows, columns of the matrix, streamed)` for some
/// rows at a time: as many as stay in the nearest cache, but one where whole lines are streamed, so that the matrix
/// passes in its own order.
template <class T, class Copy>
void for_each_tile(Index rows, std::span<const Index> widths, const Copy& copy) {
  constexpr Index tile = 1 << 12;
  constexpr auto line = static_cast<Index>(cache_line / sizeof(T));
  const Index columns = std::reduce(widths.begin(), widths.end());
  if (columns == 0) return;  // however many rows there are
  const bool streamed =
      is_streamed<T>(rows * columns) && std::ranges::all_of(widths, [](Index width) { return width % line == 0; });
  const Index step = streamed ? 1 : std::max<Index>(tile / columns, 1);
  for (Index row = 0; row < rows; row += step) {
    const Index some = std::min(step, rows - row);
    Index first = 0;
    for (const Index width : widths) {
      if (width > 0) copy(row * columns + first, first * rows + row * width, width, some, columns, streamed);
      first += width;
    }
  }
  end_streams();
}

}  // namespace

template <class T>
void copy_box(Cpu, const T* source, const Box& source_box, T* target, const Box& target_box, const Box& part) {
  if (part.empty()) return;
  const Walk walk(source_box, target_box, part);
  const Index width = walk.loops[0].extent;
  const bool large = is_streamed<T>(part.elements());
  for_each_run(walk, walk.loops.size() - 1, walk.source_start, walk.target_start,
               [&](Index s, Index t, const Loop& loop) {
                 // Where the source lies scattered, waiting for it is what takes the time.
                 copy_rows(source + s, target + t, width, loop, large && loop.source_stride == width);
               });
  end_streams();
}

template <class T>
void add_box(Cpu, const T* source, const Box& source_box, Accumulator<T>* target, const Box& target_box,
             const Box& part) {
  if (part.empty()) return;
  const Walk walk(source_box, target_box, part);
  const Index width = walk.loops[0].extent;
  for_each_run(walk, walk.loops.size() - 1, walk.source_start, walk.target_start,
               [&](Index s, Index t, const Loop& loop) {
                 for (Index row = 0; row < loop.extent; ++row, s += loop.source_stride, t += loop.target_stride) {
                   for (Index i = 0; i < width; ++i) target[t + i] += static_cast<Accumulator<T>>(source[s + i]);
                 }
               });
}

template <class T>
void split_columns(Cpu, const T* matrix, Index rows, std::span<const Index> widths, T* blocks) {
  for_each_tile<T>(rows, widths, [&](Index from, Index to, Index width, Index some, Index columns, bool streamed) {
    copy_rows(matrix + from, blocks + to, width, {some, columns, width}, streamed);
  });
}

template <class T>
void join_columns(Cpu, const T* blocks, Index rows, std::span<const Index> widths, T* matrix) {
  for_each_tile<T>(rows, widths, [&](Index to, Index from, Index width, Index some, Index columns, bool streamed) {
    copy_rows(blocks + from, matrix + to, width, {some, width, columns}, streamed);
  });
}

#define INSTANTIATE(T)                                                                          \
  template void copy_box<T>(Cpu, const T*, const Box&, T*, const Box&, const Box&);             \
  template void add_box<T>(Cpu, const T*, const Box&, Accumulator<T>*, const Box&, const Box&); \
  template void split_columns<T>(Cpu, const T*, Index, std::span<const Index>, T*);             \
  template void join_columns<T>(Cpu, const T*, Index, std::span<const Index>, T*);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
