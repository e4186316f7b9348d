#pragma once

#include <cuda_runtime.h>

#include <bit>
#include <cstdint>

#include "kernels/accumulator.hpp"
#include "kernels/cuda/plan_layout.hpp"
#include "kernels/view.hpp"

/// Rows of tables by groups of lanes of a warp: 2^bits lanes, each with 16 bytes of a row's elements at a time.
namespace tartan::kernels {

/// Elements of a row that a lane has.
template <class T>
inline constexpr int per_lane = 16 / static_cast<int>(sizeof(T));

/// They are consecutive, from a multiple of 16 bytes on, where `aligned`; otherwise a group's elements are interleaved.
template <class T>
struct alignas(16) Piece {
  T values[per_lane<T>];
};

template <class T>
struct alignas(16) Sums {
  Accumulator<T> values[per_lane<T>];
};

/// The group of this thread.
struct Lanes {
  int bits;
  int lane;
  unsigned mask;  ///< of its lanes in the warp

  __device__ explicit Lanes(int lane_bits) : bits{lane_bits} {
    const int count = 1 << bits;
    lane = static_cast<int>(threadIdx.x) & (count - 1);
    const unsigned low = bits == 5 ? ~0u : (1u << count) - 1;
    mask = low << (threadIdx.x & 31u & ~static_cast<unsigned>(count - 1));
  }
  __device__ int count() const { return 1 << bits; }
};

/// Which columns a lane has in tile `tile` of a row of `columns`.
template <class T, bool aligned>
struct LaneColumns {
  Index begin, columns;
  int step;

  __device__ LaneColumns(const Lanes& lanes, Index tile, Index row_columns) : columns{row_columns} {
    const Index first = tile * per_lane<T> << lanes.bits;
    begin = first + (aligned ? lanes.lane * per_lane<T> : lanes.lane);
    step = aligned ? 1 : lanes.count();
  }
  __device__ Index operator[](int e) const { return begin + Index{e} * step; }
  __device__ bool has(int e) const { return (*this)[e] < columns; }
};

/// This lane's part of a row; elements beyond its end are 0.
template <class T, bool aligned>
__device__ Piece<T> load(const T* row, const LaneColumns<T, aligned>& columns) {
  Piece<T> piece{};
  if constexpr (aligned) {
    if (columns.has(0)) piece = std::bit_cast<Piece<T>>(*reinterpret_cast<const uint4*>(row + columns.begin));
  } else {
    for (int e = 0; e < per_lane<T>; ++e) {
      if (columns.has(e)) piece.values[e] = row[columns[e]];
    }
  }
  return piece;
}

template <class T, bool aligned>
__device__ void store(T* row, const LaneColumns<T, aligned>& columns, const Piece<T>& piece) {
  if constexpr (aligned) {
    if (columns.has(0)) *reinterpret_cast<uint4*>(row + columns.begin) = std::bit_cast<uint4>(piece);
  } else {
    for (int e = 0; e < per_lane<T>; ++e) {
      if (columns.has(e)) row[columns[e]] = piece.values[e];
    }
  }
}

/// Whether rows of this matrix may be loaded and stored by 16 bytes.
template <class T>
bool rows_aligned(const Matrix<T>& matrix) {
  constexpr Index bytes = 16;
  constexpr auto size = static_cast<Index>(sizeof(T));
  return reinterpret_cast<std::uintptr_t>(matrix.data) % bytes == 0 && matrix.stride * size % bytes == 0 &&
         matrix.columns * size % bytes == 0;
}

}  // namespace tartan::kernels
