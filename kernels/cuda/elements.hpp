#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "kernels/cuda/launch.hpp"
#include "kernels/view.hpp"

namespace tartan::kernels {

/// Calls body(r, c) for the elements of `rows` rows of `columns`, which groups of 2^bits lanes of a warp share by rows.
template <class Body>
__global__ void for_elements(Index rows, Index columns, int bits, Body body) {
  const Index lanes = Index{1} << bits;
  for (Index r = grid_thread() >> bits; r < rows; r += grid_threads() >> bits) {
    for (Index c = grid_thread() & (lanes - 1); c < columns; c += lanes) body(r, c);
  }
}

/// The same, enqueued.
template <class Body>
void for_each_element(Cuda where, Index rows, Index columns, Body body) {
  constexpr int threads = 256;
  if (columns == 0) return;
  const int bits = std::bit_width(static_cast<std::uint64_t>(std::min<Index>(columns, 32) - 1));
  launch(for_elements<Body>, grid_for(rows << bits, threads), threads, 0, where.stream, rows, columns, bits, body);
}

}  // namespace tartan::kernels
