#include <tartan/base/decomposition.hpp>

#include <limits>

#include "support/catch.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using testing::error_text;

constexpr Index greatest = std::numeric_limits<Index>::max();

/// Deals `extent` indices out to `parts` parts, one by one.
std::vector<Index> dealt(Index extent, Index parts) {
  std::vector<Index> extents(static_cast<std::size_t>(parts));
  for (Index i = 0; i < extent; ++i) ++extents[static_cast<std::size_t>(i % parts)];
  return extents;
}

void check_against(const Decomposition& decomposition, const std::vector<Index>& extents) {
  REQUIRE(decomposition.parts() == static_cast<Index>(extents.size()));
  Index begin = 0;
  for (Index part = 0; part < decomposition.parts(); ++part) {
    const Interval block = decomposition.block(part);
    const Index end = begin + extents[static_cast<std::size_t>(part)];
    CHECK(block == Interval{begin, end});
    for (Index i = begin; i < end; ++i) CHECK(decomposition.owner(i) == part);
    begin = end;
  }
  CHECK(decomposition.extent() == begin);
  CHECK_THROWS_AS(decomposition.owner(-1), Error);
  CHECK_THROWS_AS(decomposition.owner(begin), Error);
  CHECK_THROWS_AS(decomposition.block(-1), Error);
  CHECK_THROWS_AS(decomposition.block(decomposition.parts()), Error);
}

TEST_CASE("balanced blocks follow each other, the first ones hold one more, trailing ones may be empty") {
  for (Index extent = 0; extent <= 20; ++extent) {
    for (Index parts = 1; parts <= 9; ++parts) {
      INFO(extent << " indices in " << parts << " parts");
      const auto balanced = Decomposition::balanced(extent, parts);
      check_against(balanced, dealt(extent, parts));
      CHECK(balanced.is_balanced());
      CHECK(balanced == Decomposition::from_extents(dealt(extent, parts)));
    }
  }
}

TEST_CASE("balanced blocks of a huge dimension") {
  const auto huge = Decomposition::balanced(greatest, 8);
  CHECK(huge.block(0).begin == 0);
  CHECK(huge.block(7).end == greatest);
  for (Index part = 0; part < 8; ++part) {
    CHECK(huge.owner(huge.block(part).begin) == part);
    CHECK(huge.owner(huge.block(part).end - 1) == part);
    if (part > 0) CHECK(huge.block(part).begin == huge.block(part - 1).end);
  }
}

TEST_CASE("blocks of given extents, empty ones anywhere") {
  for (const std::vector<Index>& extents :
       {std::vector<Index>{3, 0, 5, 1}, {0, 0, 4}, {4, 0, 0}, {0}, {7}, {1, 2, 3, 4, 5}}) {
    check_against(Decomposition::from_extents(extents), extents);
  }
  CHECK_FALSE(Decomposition::from_extents({3, 0, 5, 1}).is_balanced());
  CHECK_FALSE(Decomposition::from_extents({2, 3}).is_balanced());
  CHECK(Decomposition::from_extents({3, 2}).is_balanced());
  CHECK(Decomposition::from_extents({3, 2}) != Decomposition::from_extents({2, 3}));
  CHECK(Decomposition::from_extents({3, 2}) != Decomposition::from_extents({3, 2, 0}));
  CHECK(Decomposition::balanced(5, 2) != Decomposition::balanced(5, 3));
}

TEST_CASE("impossible decompositions are refused") {
  CHECK(error_text([] { Decomposition::balanced(-1, 2); }) == "a dimension of extent -1 cannot be cut");
  CHECK(error_text([] { Decomposition::balanced(4, 0); }) == "a dimension cannot be cut into 0 parts");
  CHECK(error_text([] { Decomposition::from_extents({}); }) == "a dimension cannot be cut into 0 parts");
  CHECK(error_text([] { Decomposition::from_extents({2, -3}); }) == "a block has the negative extent -3");
  CHECK_THROWS_AS(Decomposition::from_extents({greatest, 1}), Error);
}

TEST_CASE("intervals and boxes") {
  CHECK(Interval{2, 5}.extent() == 3);
  CHECK(Interval{5, 2}.extent() == 0);
  CHECK(Interval{5, 5}.empty());
  CHECK(Interval{2, 5}.contains(2));
  CHECK_FALSE(Interval{2, 5}.contains(5));
  CHECK(intersect(Interval{0, 4}, Interval{2, 9}) == Interval{2, 4});
  CHECK(intersect(Interval{0, 2}, Interval{2, 9}) == Interval{0, 0});
  CHECK(intersect(Interval{7, 9}, Interval{2, 3}) == Interval{0, 0});

  const Box box({{0, 8}, {4, 6}});
  CHECK(box.dimensions() == 2);
  CHECK(box.elements() == 16);
  CHECK(box.shape() == Shape{8, 2});
  CHECK(box.to_string() == "[0, 8) x [4, 6)");
  CHECK(intersect(box, Box({{6, 9}, {0, 5}})) == Box({{6, 8}, {4, 5}}));
  CHECK(intersect(box, Box({{6, 9}, {0, 4}})).empty());
  CHECK(Box(Shape{2, 3}) == Box({{0, 2}, {0, 3}}));

  CHECK(Box().elements() == 1);
  CHECK_FALSE(Box().empty());
  CHECK(Box().shape() == Shape());
  CHECK(Box().to_string() == "[]");
  CHECK(Box(Shape{3, 0}).empty());
  CHECK(Box(Shape{3, 0}).elements() == 0);
}

}  // namespace
}  // namespace tartan
