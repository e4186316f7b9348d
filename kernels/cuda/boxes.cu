#include "kernels/boxes.hpp"

#include <cstdint>

#include "base/element_types.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/walk.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;
constexpr int most_loops = 8;

/// A Walk as a kernel takes it.
struct Strided {
  Walk::Loop loop[most_loops];
  int loops;
  Index elements;
};

/// Elements as units of 16 bytes, which move as one.
struct alignas(16) Wide {
  std::uint64_t half[2];
};

struct Copy {
  template <class U>
  __device__ void operator()(U& target, const U& source) const {
    target = source;
  }
};
struct Add {
  template <class V, class U>
  __device__ void operator()(V& target, const U& source) const {
    target += static_cast<V>(source);
  }
};

template <class U, class V, class Combine>
__global__ void walk_through(Strided walk, const U* source, V* target, Combine combine) {
  for (Index i = grid_thread(); i < walk.elements; i += grid_threads()) {
    Index rest = i;
    Index from = 0;
    Index to = 0;
    for (int l = 0; l < walk.loops; ++l) {
      const Walk::Loop& loop = walk.loop[l];
      const bool last = l + 1 == walk.loops;
      const Index at = last ? rest : rest % loop.extent;
      if (!last) rest /= loop.extent;
      from += at * loop.source_stride;
      to += at * loop.target_stride;
    }
    combine(target[to], source[from]);
  }
}

template <class U, class V, class Combine>
void enqueue(Cuda where, const Strided& walk, const U* source, V* target, Combine combine) {
  launch(walk_through<U, V, Combine>, grid_for(walk.elements, threads), threads, 0, where.stream, walk, source, target,
         combine);
}

/// Whether each run of the innermost loop consists of whole units of `bytes` that start on multiples of it.
template <class T>
bool in_units(const Strided& walk, const T* source, const T* target, Index bytes) {
  constexpr auto size = static_cast<Index>(sizeof(T));
  const auto divides = [&](Index elements) { return elements * size % bytes == 0; };
  if ((reinterpret_cast<std::uintptr_t>(source) | reinterpret_cast<std::uintptr_t>(target)) %
          static_cast<std::uintptr_t>(bytes) !=
      0) {
    return false;
  }
  if (!divides(walk.loop[0].extent)) return false;
  for (int l = 1; l < walk.loops; ++l) {
    if (!divides(walk.loop[l].source_stride) || !divides(walk.loop[l].target_stride)) return false;
  }
  return true;
}

template <class U, class T>
void copy_in_units(Cuda where, Strided walk, const T* source, T* target) {
  constexpr auto per_unit = static_cast<Index>(sizeof(U) / sizeof(T));
  walk.elements /= per_unit;
  walk.loop[0].extent /= per_unit;
  for (int l = 1; l < walk.loops; ++l) {
    walk.loop[l].source_stride /= per_unit;
    walk.loop[l].target_stride /= per_unit;
  }
  enqueue(where, walk, reinterpret_cast<const U*>(source), reinterpret_cast<U*>(target), Copy{});
}

template <class T>
void run(Cuda where, const Strided& walk, const T* source, T* target, Copy) {
  if (in_units(walk, source, target, 16)) return copy_in_units<Wide>(where, walk, source, target);
  enqueue(where, walk, source, target, Copy{});
}
template <class T>
void run(Cuda where, const Strided& walk, const T* source, Accumulator<T>* target, Add add) {
  enqueue(where, walk, source, target, add);
}

/// Loops beyond those that a kernel takes are walked here.
template <class T, class V, class Combine>
void walk_outer(Cuda where, const Walk& walk, std::size_t level, const T* source, V* target, Combine combine) {
  if (level > most_loops) {
    const auto& loop = walk.loops[level - 1];
    for (Index i = 0; i < loop.extent; ++i)
      walk_outer(where, walk, level - 1, source + i * loop.source_stride, target + i * loop.target_stride, combine);
    return;
  }
  Strided strided{.loop = {}, .loops = static_cast<int>(level), .elements = 1};
  for (std::size_t l = 0; l < level; ++l) {
    strided.loop[l] = walk.loops[l];
    strided.elements *= walk.loops[l].extent;
  }
  run(where, strided, source, target, combine);
}

template <class T, class V, class Combine>
void box(Cuda where, const T* source, const Box& source_box, V* target, const Box& target_box, const Box& part,
         Combine combine) {
  if (part.empty()) return;
  const Walk walk(source_box, target_box, part);
  walk_outer(where, walk, walk.loops.size(), source + walk.source_start, target + walk.target_start, combine);
}

/// Calls copied(first column, first element of the block, its width, all columns) for each block that has elements.
template <class Copied>
void for_each_block(Index rows, std::span<const Index> widths, const Copied& copied) {
  Index columns = 0;
  for (const Index width : widths) columns += width;
  Index first = 0;
  for (const Index width : widths) {
    if (rows > 0 && width > 0) copied(first, first * rows, width, columns);
    first += width;
  }
}

}  // namespace

template <class T>
void copy_box(Cuda where, const T* source, const Box& source_box, T* target, const Box& target_box, const Box& part) {
  box(where, source, source_box, target, target_box, part, Copy{});
}

template <class T>
void add_box(Cuda where, const T* source, const Box& source_box, Accumulator<T>* target, const Box& target_box,
             const Box& part) {
  box(where, source, source_box, target, target_box, part, Add{});
}

template <class T>
void split_columns(Cuda where, const T* matrix, Index rows, std::span<const Index> widths, T* blocks) {
  for_each_block(rows, widths, [&](Index column, Index block, Index width, Index columns) {
    run(where, {.loop = {{width, 1, 1}, {rows, columns, width}}, .loops = 2, .elements = rows * width}, matrix + column,
        blocks + block, Copy{});
  });
}

template <class T>
void join_columns(Cuda where, const T* blocks, Index rows, std::span<const Index> widths, T* matrix) {
  for_each_block(rows, widths, [&](Index column, Index block, Index width, Index columns) {
    run(where, {.loop = {{width, 1, 1}, {rows, width, columns}}, .loops = 2, .elements = rows * width}, blocks + block,
        matrix + column, Copy{});
  });
}

#define INSTANTIATE(T)                                                                           \
  template void copy_box<T>(Cuda, const T*, const Box&, T*, const Box&, const Box&);             \
  template void add_box<T>(Cuda, const T*, const Box&, Accumulator<T>*, const Box&, const Box&); \
  template void split_columns<T>(Cuda, const T*, Index, std::span<const Index>, T*);             \
  template void join_columns<T>(Cuda, const T*, Index, std::span<const Index>, T*);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
