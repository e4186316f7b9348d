#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include <tartan/base/index.hpp>

/// The part of a device's row plan that the host works out from sizes alone. Plain C++, tested without a GPU.
namespace tartan::kernels::plan_layout {

/// Hits of a row are folded in chunks of 64, the chunks' sums in groups of 32 (see fold_rows).
inline constexpr int chunk_bits = 6, group_bits = 5;
inline constexpr Index chunk = Index{1} << chunk_bits;
inline constexpr Index group = Index{1} << group_bits;

/// Sorted hits to a tile, which is a block's work; as many ids as that are sorted inside one block.
inline constexpr int tile_bits = 12;
inline constexpr Index tile = Index{1} << tile_bits;

/// How a list of ids is sorted: inside one block; by radix sort with words of 32 bits; or with words of 64.
enum class Path { none, block, narrow, wide };

constexpr Path path_of(Index count, Index rows) {
  if (count == 0 || rows == 0) return Path::none;
  if (count <= tile && rows <= std::numeric_limits<Index>::max() >> tile_bits) return Path::block;
  return std::max(count, rows) <= std::numeric_limits<std::int32_t>::max() ? Path::narrow : Path::wide;
}

/// Bits of the sort's keys 0, ..., rows: the last one stands for ids that are no hits.
constexpr int key_bits(Index rows) { return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(rows))); }

constexpr Index tiles(Index count) { return (count + tile - 1) >> tile_bits; }

/// At most so many distinct rows and chunks: a row begins one, and so do 64 more hits of the same.
constexpr Index most_distinct(Index count, Index rows) { return std::min(count, rows); }
constexpr Index most_chunks(Index count, Index rows) {
  const Index distinct = most_distinct(count, rows);
  return distinct + ((count - distinct) >> chunk_bits);
}

/// A chunk that begins at hit `begin` keeps its sum in this slot, where its row has other chunks. No two chunks of such
/// rows share one, and slots(count) are enough: a row's first chunk has the slot of its first hit, 32 hits to a slot,
/// and a later one the slot before that of its own first hit.
constexpr Index slot_of(Index begin, bool first_of_row) { return (begin >> group_bits) - (first_of_row ? 0 : 1); }
constexpr Index slots(Index count) { return count <= chunk ? 0 : ((count - 1) >> group_bits) + 1; }

/// Groups of 32 chunks, the last of a row perhaps of fewer, of rows of several chunks: at most so many.
constexpr Index most_groups(Index count) { return count / (chunk + 1); }

/// Lanes of a warp that share a row of `columns` elements, each with `per_lane` of them: a power of two, as its
/// exponent.
constexpr int lane_bits(Index columns, Index per_lane) {
  const Index vectors = (columns + per_lane - 1) / per_lane;
  return std::min(5, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(std::max<Index>(vectors, 1) - 1))));
}

/// How many times that many lanes are needed for the row.
constexpr Index column_tiles(Index columns, Index per_lane) {
  const Index width = per_lane << lane_bits(columns, per_lane);
  return (columns + width - 1) / width;
}

/// Where arrays begin that lie one after another in one allocation, each from a multiple of 256 bytes on.
class Arrays {
 public:
  constexpr Index add(Index count, Index bytes) {
    const Index begin = total_;
    total_ += (count * bytes + 255) / 256 * 256;
    return begin;
  }
  constexpr Index total() const { return total_; }

 private:
  Index total_ = 0;
};

/// The memory of a plan, in bytes from its beginning.
struct Held {
  Index sizes, rows, offsets, chunks, groups, positions, total;
};
constexpr Held held(Index count, Index rows, Index sizes_bytes, Index chunk_bytes, Index word_bytes) {
  const Index distinct = most_distinct(count, rows);
  Arrays arrays;
  Held held{};
  held.sizes = arrays.add(1, sizes_bytes);
  held.rows = arrays.add(distinct, sizeof(Index));
  held.offsets = arrays.add(distinct + 1, sizeof(Index));
  held.chunks = arrays.add(most_chunks(count, rows) + 1, chunk_bytes);
  held.groups = arrays.add(most_groups(count), sizeof(Index));
  held.positions = arrays.add(count, word_bytes);
  held.total = arrays.total();
  return held;
}

/// The memory that making a plan takes beside it, where hits are sorted by radix.
struct Workspace {
  Index keys, positions, sorted_keys, tiles, sort, total;
};
constexpr Workspace workspace(Index count, Index word_bytes, Index tile_bytes, Index sort_bytes) {
  Arrays arrays;
  Workspace workspace{};
  workspace.keys = arrays.add(count, word_bytes);
  workspace.positions = arrays.add(count, word_bytes);
  workspace.sorted_keys = arrays.add(count, word_bytes);
  workspace.tiles = arrays.add(tiles(count), tile_bytes);
  workspace.sort = arrays.add(1, sort_bytes);
  workspace.total = arrays.total();
  return workspace;
}

}  // namespace tartan::kernels::plan_layout
