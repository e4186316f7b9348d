#include "tensor/boxes.hpp"

#include <cstring>

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

template <class Row>
void for_each_row(const Walk& walk, std::size_t level, Index source, Index target, const Row& row) {
  if (level == 0) return row(source, target);
  const auto& loop = walk.loops[level];
  for (Index i = 0; i < loop.extent; ++i) {
    for_each_row(walk, level - 1, source + i * loop.source_stride, target + i * loop.target_stride, row);
  }
}

}  // namespace

template <class T>
void copy_box(const T* source, const Box& source_box, T* target, const Box& target_box, const Box& part) {
  if (part.empty()) return;
  const auto walk = walk_of(source_box, target_box, part);
  const auto bytes = static_cast<std::size_t>(walk.loops[0].extent) * sizeof(T);
  for_each_row(walk, walk.loops.size() - 1, walk.source_start, walk.target_start,
               [=](Index s, Index t) { std::memcpy(target + t, source + s, bytes); });
}

template <class T>
void add_box(const T* source, const Box& source_box, T* target, const Box& target_box, const Box& part) {
  if (part.empty()) return;
  const auto walk = walk_of(source_box, target_box, part);
  const Index extent = walk.loops[0].extent;
  for_each_row(walk, walk.loops.size() - 1, walk.source_start, walk.target_start, [=](Index s, Index t) {
    for (Index i = 0; i < extent; ++i) target[t + i] += source[s + i];
  });
}

#define INSTANTIATE(T)                                                         \
  template void copy_box<T>(const T*, const Box&, T*, const Box&, const Box&); \
  template void add_box<T>(const T*, const Box&, T*, const Box&, const Box&);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
