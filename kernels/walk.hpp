#pragma once

#include <vector>

#include <tartan/base/box.hpp>

namespace tartan::kernels {

/// The way through a part of two row-major boxes, as nested loops with a stride in each: neighbouring dimensions that
/// lie densely in both are one loop.
struct Walk {
  struct Loop {
    Index extent;
    Index source_stride;
    Index target_stride;
  };

  std::vector<Loop> loops;  ///< innermost first; loops[0] has stride 1 in both
  Index source_start = 0;
  Index target_start = 0;

  Walk(const Box& source_box, const Box& target_box, const Box& part) : loops{{1, 1, 1}} {
    Index source_stride = 1;
    Index target_stride = 1;
    for (int dim = part.dimensions() - 1; dim >= 0; --dim) {
      const Index extent = part[dim].extent();
      source_start += (part[dim].begin - source_box[dim].begin) * source_stride;
      target_start += (part[dim].begin - target_box[dim].begin) * target_stride;
      auto& last = loops.back();
      if (source_stride == last.extent * last.source_stride && target_stride == last.extent * last.target_stride) {
        last.extent *= extent;
      } else if (extent != 1) {
        loops.push_back({extent, source_stride, target_stride});
      }
      source_stride *= source_box[dim].extent();
      target_stride *= target_box[dim].extent();
    }
  }
};

}  // namespace tartan::kernels
