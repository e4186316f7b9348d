#include <tartan/partition/distribution.hpp>

#include <algorithm>
#include <numeric>

#include "partition/oracle.hpp"
#include "support/catch.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

std::vector<std::vector<int>> permutations(int n) {
  std::vector<int> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::vector<std::vector<int>> all;
  do {
    all.push_back(order);
  } while (std::ranges::next_permutation(order).found);
  return all;
}

/// Everything that a distribution says about its positions, against the oracle and against itself.
void check_layout(const Distribution& d) {
  INFO(d.to_string());
  const auto elements = static_cast<std::size_t>(d.shape().elements());
  std::vector<int> copies(elements), lowest(elements, d.grid().size());
  bool right = true;
  for (int position = 0; position < d.grid().size(); ++position) {
    const Box block(expected_block(d, position));
    const bool holds = first_on(d, position, Placement::Kind::root);
    const Shape nothing(std::vector<Index>(static_cast<std::size_t>(std::max(d.shape().dimensions(), 1)), 0));
    right = right && d.block(position) == block && d.holds(position) == holds &&
            d.local_shape(position) == (holds ? block.shape() : nothing) &&
            d.box(position).shape() == d.local_shape(position) && (!holds || d.box(position) == block);
    for (const Index flat : held_elements(d, position)) {
      const auto i = static_cast<std::size_t>(flat);
      ++copies[i];
      lowest[i] = std::min(lowest[i], position);
    }
  }
  CHECK(right);
  CHECK_FALSE(d.holds(-1));
  CHECK(d.box(-1).elements() == 0);
  const int expected_copies = member(d, 0, Placement::Kind::replicate).of * member(d, 0, Placement::Kind::partial).of;
  CHECK(copies == std::vector<int>(elements, expected_copies));
  std::vector<int> owners;
  for (Index flat = 0; flat < d.shape().elements(); ++flat) owners.push_back(d.owner(d.shape().index(flat)));
  CHECK(owners == lowest);
}

TEST_CASE("blocks partition the shape on every grid, under every placement and nesting") {
  for (const int ranks : {1, 2, 3, 4, 6, 8}) {
    for (const int axes : {1, 2, 3}) {
      for (const auto& grid : factorisations(ranks, axes)) {
        for (const Shape& shape : {Shape{}, Shape{7}, Shape{5, 2}, Shape{3, 0}}) {
          for (const auto& placements : all_placements(axes, shape.dimensions())) {
            for (const auto& nesting : permutations(axes)) {
              check_layout(Distribution(Grid(grid), shape, placements, {.nesting = nesting}));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("blocks of given extents") {
  check_layout(Distribution(Grid(Shape{4}), {9}, {Shard{0}}, {.block_extents = {{0, {1, 0, 6, 2}}}}));
  check_layout(
      Distribution(Grid(Shape{2, 3}), {5, 7}, {Shard{1}, Shard{0}}, {.block_extents = {{0, {2, 5}}, {1, {0, 5, 0}}}}));
  check_layout(Distribution(Grid(Shape{2, 3}), {5, 7}, {Root{}, Shard{1}}, {.block_extents = {{1, {1, 1, 5}}}}));
  check_layout(Distribution(Grid(Shape{2, 2, 2}), {5, 7}, {Shard{0}, Shard{1}, Shard{0}},
                            {.nesting = {2, 1, 0}, .block_extents = {{1, {1, 6}}}}));
}

TEST_CASE("the worked example of the header") {
  const Grid grid(Shape{2, 2});
  const auto blocks = [&](const Placements& placements) {
    const Distribution d(grid, {5, 4}, placements);
    std::string text;
    for (int p = 0; p < 4; ++p) text += (d.holds(p) ? d.block(p).to_string() : "nothing") + (p < 3 ? "; " : "");
    return text;
  };
  CHECK(blocks({Shard{0}, Shard{1}}) == "[0, 3) x [0, 2); [0, 3) x [2, 4); [3, 5) x [0, 2); [3, 5) x [2, 4)");
  CHECK(blocks({Shard{0}, Shard{0}}) == "[0, 2) x [0, 4); [2, 3) x [0, 4); [3, 4) x [0, 4); [4, 5) x [0, 4)");
  CHECK(blocks({Root{}, Shard{1}}) == "[0, 5) x [0, 2); [0, 5) x [2, 4); nothing; nothing");
}

TEST_CASE("a grid numbers its positions row-major") {
  const Grid grid(Shape{2, 1, 3});
  CHECK(grid.size() == 6);
  CHECK(grid.coordinates(4) == std::vector<int>{1, 0, 1});
  for (int p = 0; p < grid.size(); ++p) {
    CHECK(grid.position(grid.coordinates(p)) == p);
    CHECK(grid.moved(p, 2, 2) == p - p % 3 + 2);
    CHECK(grid.coordinate(p, 0) == p / 3);
  }
  CHECK(Grid().size() == 1);
  CHECK(Grid().coordinates(0).empty());
  CHECK_THROWS_AS(Grid(Shape{2, 0}), Error);
  CHECK_THROWS_AS(Grid(Shape{1 << 20, 1 << 20}), Error);
}

TEST_CASE("the nesting counts only where two axes of extent above 1 shard one dimension") {
  const auto equal = [](const Shape& grid, const Placements& placements, const Shape& shape = {8, 8}) {
    return Distribution(Grid(grid), shape, placements, {.nesting = {0, 1}}) ==
           Distribution(Grid(grid), shape, placements, {.nesting = {1, 0}});
  };
  CHECK_FALSE(equal({2, 4}, {Shard{0}, Shard{0}}));
  CHECK_FALSE(equal({2, 2}, {Shard{1}, Shard{1}}));
  CHECK(equal({2, 4}, {Shard{0}, Shard{1}}));
  CHECK(equal({2, 4}, {Shard{0}, Replicate{}}));
  CHECK(equal({2, 4}, {Partial{}, Partial{}}));
  CHECK(equal({1, 4}, {Shard{0}, Shard{0}}));
  CHECK(equal({4, 1}, {Shard{0}, Shard{0}}));
}

TEST_CASE("distributions are equal where shape, grid, placements and blocks are") {
  const Grid grid(Shape{2, 3});
  const Distribution d(grid, {6, 4}, {Shard{0}, Replicate{}});
  CHECK(d == Distribution(grid, {6, 4}, {Shard{-2}, Replicate{}}));
  CHECK(d != Distribution(grid, {6, 5}, {Shard{0}, Replicate{}}));
  CHECK(d != Distribution(grid, {6, 4}, {Shard{1}, Replicate{}}));
  CHECK(d != Distribution(grid, {6, 4}, {Shard{0}, Partial{}}));
  CHECK(d != Distribution(Grid(Shape{3, 2}), {6, 4}, {Shard{0}, Replicate{}}));
  CHECK(d == Distribution(grid, {6, 4}, {Shard{0}, Replicate{}}, {.block_extents = {{0, {3, 3}}}}));
  CHECK(d != Distribution(grid, {6, 4}, {Shard{0}, Replicate{}}, {.block_extents = {{0, {4, 2}}}}));
  // An axis of extent 1 keeps its tag.
  CHECK(Distribution(Grid(Shape{1}), {4}, {Replicate{}}) != Distribution(Grid(Shape{1}), {4}, {Shard{0}}));
  CHECK(Distribution() == Distribution(Grid(), {}, {}));
}

TEST_CASE("the dual exchanges Replicate and Partial, the gradient takes Partial to Replicate") {
  const Distribution d(Grid(Shape{2, 1, 2, 1}), {6, 4}, {Shard{1}, Replicate{}, Partial{}, Root{}},
                       {.nesting = {3, 2, 1, 0}, .block_extents = {{0, {1, 3}}}});
  CHECK(d.dual().placements() == Placements{Shard{1}, Partial{}, Replicate{}, Root{}});
  CHECK(d.gradient().placements() == Placements{Shard{1}, Replicate{}, Replicate{}, Root{}});
  CHECK(d.dual().dual() == d);
  CHECK(d.dual().nesting() == d.nesting());
  CHECK(d.dual().block(0) == d.block(0));
  CHECK(d.any(Placement::Kind::root));
  CHECK_FALSE(d.gradient().any(Placement::Kind::partial));
}

TEST_CASE("the same tensor otherwise placed keeps nesting and the blocks of axes that did not change") {
  const Distribution d(Grid(Shape{2, 3}), {6, 4}, {Shard{0}, Shard{1}},
                       {.nesting = {1, 0}, .block_extents = {{0, {1, 5}}, {1, {2, 0, 2}}}});
  CHECK(d.with(d.placements()) == d);
  CHECK(d.with(d.placements(), d.options()) == d);
  const auto moved = d.with(1, Replicate{});
  CHECK(moved.placements() == Placements{Shard{0}, Replicate{}});
  CHECK(moved.nesting() == std::vector<int>{1, 0});
  CHECK(moved.block(3) == Box({{1, 6}, {0, 4}}));
  CHECK_FALSE(moved.blocks(1));
  CHECK(d.with(d.placements(), {}).block(0) == Box({{0, 3}, {0, 2}}));
  CHECK(d.with({Shard{-2}, Root{}}).block(3) == Box({{1, 6}, {0, 4}}));
  CHECK(d.with_shape({9, 9}).block(0) == Box({{0, 5}, {0, 3}}));
  CHECK(d.axes_of(0) == std::vector<int>{0});
  CHECK(d.with({Shard{0}, Shard{0}}, {.nesting = {1, 0}}).axes_of(0) == std::vector<int>{1, 0});
  CHECK(Distribution(Grid(Shape{2, 1}), {4}, {Shard{0}, Shard{0}}).axes_of(0) == std::vector<int>{0});
}

TEST_CASE("a distribution that does not fit is refused with a text that says why") {
  const Grid grid(Shape{2, 3});
  const auto text = [&](const Placements& placements, const DistributionOptions& options = {}, Shape shape = {6, 4}) {
    return error_text([&] { Distribution(grid, shape, placements, options); });
  };
  CHECK(text({Shard{0}, Replicate{}}) == "no error");
  CHECK(text({Shard{0}}) == "1 placements [Shard(0)] were given for the 2 axes of a grid of shape (2, 3)");
  CHECK(text({Shard{0}, Shard{2}}) ==
        "the placements [Shard(0), Shard(2)] shard dimension 2, which the shape (6, 4) does not have");
  CHECK(text({Shard{-3}, Root{}}) ==
        "the placements [Shard(-3), Root] shard dimension -3, which the shape (6, 4) does not have");
  CHECK(contains(text({Shard{0}, Root{}}, {}, {}), "which the shape () does not have"));
  CHECK(text({Shard{0}, Root{}}, {.nesting = {0, 0}}) ==
        "the nesting [0, 0] is no permutation of the 2 axes of the grid");
  CHECK(text({Shard{0}, Root{}}, {.nesting = {0}}) == "the nesting [0] is no permutation of the 2 axes of the grid");
  CHECK(text({Shard{0}, Root{}}, {.block_extents = {{1, {2, 2, 2}}}}) ==
        "block extents were given for axis 1, which shards nothing: [Shard(0), Root]");
  CHECK(contains(text({Shard{0}, Root{}}, {.block_extents = {{2, {6}}}}), "axis 2, which shards nothing"));
  CHECK(text({Shard{0}, Shard{0}}, {.block_extents = {{0, {2, 4}}}}) ==
        "block extents were given for axis 0, but another axis shards dimension 0 too: [Shard(0), Shard(0)]");
  CHECK(text({Shard{0}, Root{}}, {.block_extents = {{0, {2, 3}}}}) ==
        "the block extents [2, 3] of axis 0 do not cut an extent of 6 into 2 blocks");
  CHECK(contains(text({Shard{0}, Root{}}, {.block_extents = {{0, {2, 3, 1}}}}), "do not cut an extent of 6"));
  CHECK(contains(text({Shard{0}, Root{}}, {.block_extents = {{0, {7, -1}}}}), "negative extent -1"));
  CHECK(contains(error_text([&] { Distribution(grid, {4}, {Root{}, Root{}}).topology(); }), "has no ranks"));
}

TEST_CASE("distributions and placements as text") {
  CHECK(Distribution(Grid(Shape{2, 1, 4}), {16, 32}, {Shard{0}, Replicate{}, Shard{-1}}).to_string() ==
        "(16, 32): [Shard(0), Replicate, Shard(1)] on 2 x 1 x 4");
  CHECK(Distribution(Grid(Shape{2, 2}), {4}, {Shard{0}, Shard{0}}, {.nesting = {1, 0}}).to_string() ==
        "(4): [Shard(0), Shard(0)] on 2 x 2, nesting [1, 0]");
  CHECK(Distribution(Grid(Shape{2}), {4}, {Shard{0}}, {.block_extents = {{0, {1, 3}}}}).to_string() ==
        "(4): [Shard(0)] on 2, axis 0 in blocks of [1, 3]");
  CHECK(to_string(Placements{Partial{}, Root{}}) == "[Partial, Root]");
}

}  // namespace
}  // namespace tartan
