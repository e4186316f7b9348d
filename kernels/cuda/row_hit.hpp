#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include <tartan/base/index.hpp>

namespace tartan::kernels {

/// Which of a shard's rows an id hits, or `rows` where it hits none (see plan_rows).
template <class I>
__device__ Index row_hit(I id, Index first_row, Index rows, Index padding) {
  const auto row = static_cast<std::uint64_t>(static_cast<Index>(id)) - static_cast<std::uint64_t>(first_row);
  const bool hit = row < static_cast<std::uint64_t>(rows) && static_cast<Index>(id) != padding;
  return hit ? static_cast<Index>(row) : rows;
}

}  // namespace tartan::kernels
