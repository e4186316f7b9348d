// Sums over split columns by leaves.

#include <tartan/distributed/leaves.hpp>

#include <algorithm>
#include <cstring>

#include <tartan/base/random.hpp>
#include <tartan/comm/agreement.hpp>

#include "distributed/logical.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

TEST_CASE("leaves are split in a balanced way and the last one may be short") {
  CHECK(leaf_blocks(128, 4) == std::vector<Index>{32, 32, 32, 32});
  CHECK(leaf_blocks(80, 2) == std::vector<Index>{64, 16});
  CHECK(leaf_blocks(70, 4) == std::vector<Index>{32, 32, 6, 0});
  CHECK(leaf_blocks(1, 3) == std::vector<Index>{1, 0, 0});
  CHECK(leaf_blocks(33 * 32 + 1, 3) == std::vector<Index>{12 * 32, 11 * 32, 10 * 32 + 1});
}

TEST_CASE("sums of leaves have the same bits on every split") {
  constexpr Index n = 7;
  for (const Index columns : {5, 32, 80, 40 * 32 + 3}) {
    const Index leaves = (columns + 31) / 32;
    const RandomStream stream(1, "leaves");
    const auto leaf = [&](Index i, Index k) {
      return static_cast<float>(stream.normal(i * leaves + k) * (k % 5 ? 1 : 1e6));
    };
    std::vector<float> expected;
    for (Index i = 0; i < n; ++i) {
      std::vector<float> sums;
      for (Index k = 0; k < leaves; ++k) sums.push_back(leaf(i, k));
      while (sums.size() > 1) {
        std::vector<float> groups;
        for (std::size_t k = 0; k < sums.size(); ++k) {
          if (k % 32 == 0) {
            groups.push_back(sums[k]);
          } else {
            groups.back() += sums[k];
          }
        }
        sums = groups;
      }
      expected.push_back(sums[0]);
    }
    for (const auto& grid : factorisations(world().size(), 2)) {
      const auto topology = Partition(world()).cartesian(grid);
      const Distribution d(topology, {100, columns}, {Replicate{}, Shard{1}},
                           {.block_extents = {{1, leaf_blocks(columns, grid[1])}}});
      const auto block = d.block(topology.rank())[1];
      std::vector<float> mine;
      for (Index i = 0; i < n; ++i) {
        for (Index k = block.begin / 32; !block.empty() && k < (block.end + 31) / 32; ++k) mine.push_back(leaf(i, k));
      }
      Tensor<float> sums(Shape{n});
      sum_leaves(d, 1, Tensor<float>::from(Shape{std::ssize(mine)}, mine), sums);
      CHECK(std::ranges::equal(sums.span(), expected));
    }
  }
}

TEST_CASE("blocks that cut leaves are refused on every rank") {
  const int ranks = world().size();
  const auto topology = Partition(world()).cartesian({1, ranks});
  const auto text = error_text([&] { require_leaves({topology, {3, 40}, {Replicate{}, Shard{1}}}, 1); });
  CHECK(contains(text, "sums by leaves of 32 columns take blocks that cut none") == (ranks > 1));
  CHECK_NOTHROW(same_on_all(world(), "the text", text));
  for (const auto& grid : factorisations(ranks, 2)) {
    const bool twice = grid[0] > 1 && grid[1] > 1;
    const Distribution d(Partition(world()).cartesian(grid), {3, 32 * ranks}, {Shard{1}, Shard{1}});
    CHECK(contains(error_text([&] { require_leaves(d, 1); }), "that one axis splits") == twice);
  }
}

}  // namespace
}  // namespace tartan
