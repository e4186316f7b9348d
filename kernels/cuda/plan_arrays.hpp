#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda_row_plan.hpp"

namespace tartan::kernels {

struct PlanSizes {
  Index distinct, chunks, hits;
  unsigned long long groups;  // counted by atomicAdd
};

/// At most 64 consecutive hits of a row; they end where the next chunk's begin.
struct alignas(16) Chunk {
  Index mark;      ///< twice the first hit, plus 1 in the first chunk of a row
  Index position;  ///< the first hit's position in the id list
  Index u;         ///< which of the distinct rows it is
  Index row;       ///< its number, counted from the shard's first row
};

/// Positions in the id list, in words as wide as the list needs.
struct Positions {
  const std::uint32_t* narrow;
  const std::uint64_t* wide;

  __device__ Index operator[](Index hit) const {
    return narrow != nullptr ? Index{narrow[hit]} : static_cast<Index>(wide[hit]);
  }
};

/// A RowPlan in the memory of a device. How long the arrays are stands in *sizes: the host does not know it.
struct PlanArrays {
  PlanSizes* sizes;
  Index* rows;     ///< [distinct]
  Index* offsets;  ///< [distinct + 1]
  Chunk* chunks;   ///< [chunks + 1]: one more, which begins where the last one ends
  Index* groups;   ///< [groups]: of rows of several chunks the first of each 32 chunks, by its number, in no order
  Positions positions;
};

/// What the host knows of a plan.
struct PlanView {
  PlanArrays arrays;
  Index count;          ///< ids, of which some may be no hits
  Index most_distinct;  ///< at most so many rows
  Index most_chunks;
};

/// The plan for what is enqueued on `stream` from now on while it lives: after what made it.
PlanView use(const CudaRowPlan& plan, cudaStream_t stream);

}  // namespace tartan::kernels
