#pragma once

#include <tartan/base/index.hpp>

/// The tree by which a number for each of n elements is added, in double and alike on every device: the bits depend on
/// n alone. Of each chunk of 4096 terms, term i goes to lane i mod 256; a lane adds to 0.0, in order; lane l takes lane
/// l + 128, then l + 64, ..., l + 1. The sums of chunks are added as terms are, until one remains.
namespace tartan::kernels {

inline constexpr Index sum_lanes = 256;
inline constexpr Index sum_chunk = 4096;

/// One for no terms, whose sum is 0.0.
constexpr Index chunks_of(Index terms) { return terms > sum_chunk ? (terms + sum_chunk - 1) / sum_chunk : 1; }

/// Of column_sums(): how many rows make a group, and how many groups that is.
inline constexpr Index summed_rows = 32;
constexpr Index groups_of(Index rows) { return rows > summed_rows ? (rows + summed_rows - 1) / summed_rows : 1; }

}  // namespace tartan::kernels
