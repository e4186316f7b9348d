#include "kernels/cuda/plan_layout.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include "support/catch.hpp"

// What the host works out of a device's row plan: no device is needed.

namespace tartan::kernels::plan_layout {
namespace {

constexpr Index largest = std::numeric_limits<Index>::max();

TEST_CASE("the sort has as many bits as the number of rows, which stands for ids that are no hits", "[kernels]") {
  CHECK(key_bits(1) == 1);
  CHECK(key_bits(2) == 2);
  CHECK(key_bits(255) == 8);
  CHECK(key_bits(256) == 9);
  CHECK(key_bits(10 * 1'677'721) == 24);
  CHECK(key_bits((Index{1} << 31) - 1) == 31);
  CHECK(key_bits(largest) == 63);
}

TEST_CASE("few ids are sorted in one block, and words of 32 bits serve as long as they can", "[kernels]") {
  CHECK(path_of(0, 10) == Path::none);
  CHECK(path_of(10, 0) == Path::none);
  CHECK(path_of(1, 1) == Path::block);
  CHECK(path_of(4096, 1'000'000'000'000) == Path::block);
  CHECK(path_of(4096, largest >> 12) == Path::block);
  CHECK(path_of(4096, (largest >> 12) + 1) == Path::wide);
  CHECK(path_of(4097, 1) == Path::narrow);
  constexpr Index most = std::numeric_limits<std::int32_t>::max();
  CHECK(path_of(most, most) == Path::narrow);
  CHECK(path_of(most + 1, 5) == Path::wide);
  CHECK(path_of(5000, most + 1) == Path::wide);
}

TEST_CASE("lanes and tiles of columns cover every row", "[kernels]") {
  for (const Index per_lane : {1, 2, 4, 8}) {
    for (Index columns = 1; columns < 700; ++columns) {
      const Index lanes = Index{1} << lane_bits(columns, per_lane), tiles = column_tiles(columns, per_lane);
      REQUIRE(lanes <= 32);
      REQUIRE(tiles * lanes * per_lane >= columns);
      REQUIRE((tiles - 1) * lanes * per_lane < columns);
      REQUIRE((lanes == 32 || tiles == 1));
      REQUIRE((lanes == 1 || columns > lanes / 2 * per_lane));
    }
  }
}

/// Rows with these numbers of hits.
void check_rows(const std::vector<Index>& hits) {
  Index count = 0, chunks = 0, groups = 0;
  std::set<Index> used;
  for (const Index n : hits) {
    const Index own = (n + chunk - 1) / chunk;
    for (Index k = 0; k < own && own > 1; ++k) {
      const Index slot = slot_of(count + k * chunk, k == 0);
      REQUIRE(slot >= 0);
      REQUIRE(used.insert(slot).second);
    }
    chunks += own;
    groups += own > 1 ? (own + group - 1) / group : 0;
    count += n;
  }
  REQUIRE((used.empty() || *used.rbegin() < slots(count)));
  REQUIRE(chunks <= most_chunks(count, static_cast<Index>(hits.size())));
  REQUIRE(chunks <= most_chunks(count, count));
  REQUIRE(groups <= most_groups(count));
}

TEST_CASE("chunks of rows of several have slots of their own, and all arrays room enough", "[kernels]") {
  check_rows({});
  check_rows({64});
  check_rows({65});
  check_rows({65, 65, 65, 65, 65, 65});
  check_rows({66, 65, 67, 128, 129, 1, 1, 65, 64, 65, 2048, 2049, 2112, 2113, 65});
  check_rows({1, 65, 1, 65, 31, 65, 32, 65, 33, 65, 100'000, 1});
  for (Index first = 1; first < 100; ++first) check_rows({first, 65, 65, 70, first, 130, first, 65});
  check_rows(std::vector<Index>(500, 65));
}

TEST_CASE("a plan's arrays do not overlap and are aligned", "[kernels]") {
  for (const Index count : {1, 64, 65, 5000, 7'770'000}) {
    for (const Index rows : {1, 3, 1'000'000}) {
      const auto [sizes, row_list, offsets, chunks, groups, positions, total] = held(count, rows, 32, 32, 4);
      const Index distinct = most_distinct(count, rows);
      REQUIRE(sizes + 32 <= row_list);
      REQUIRE(row_list + 8 * distinct <= offsets);
      REQUIRE(offsets + 8 * (distinct + 1) <= chunks);
      REQUIRE(chunks + 32 * (most_chunks(count, rows) + 1) <= groups);
      REQUIRE(groups + 8 * most_groups(count) <= positions);
      REQUIRE(positions + 4 * count <= total);
      for (const Index begin : {sizes, row_list, offsets, chunks, groups, positions}) REQUIRE(begin % 256 == 0);
      const auto space = workspace(count, 4, 48, 1000);
      REQUIRE(space.tiles + 48 * tiles(count) <= space.sort);
      REQUIRE(space.sort + 1000 <= space.total);
    }
  }
}

}  // namespace
}  // namespace tartan::kernels::plan_layout
