#include <tartan/base/box.hpp>
#include <tartan/base/shape.hpp>

#include <limits>

#include "support/catch.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using testing::error_text;

constexpr Index greatest = std::numeric_limits<Index>::max();

TEST_CASE("checked arithmetic throws where 64 bits do not suffice") {
  CHECK(checked_multiply(Index{1} << 31, Index{1} << 31) == Index{1} << 62);
  CHECK(checked_multiply(-3, 5) == -15);
  CHECK(checked_multiply(greatest, 0) == 0);
  CHECK(error_text([] { checked_multiply(Index{1} << 32, Index{1} << 31); }) ==
        "the product 4294967296 x 2147483648 does not fit 64 bits");
  CHECK(checked_add(greatest - 1, 1) == greatest);
  CHECK(error_text([] { checked_add(greatest, 1); }) == "the sum 9223372036854775807 + 1 does not fit 64 bits");
  CHECK(checked_narrow<int>(-5) == -5);
  CHECK(checked_narrow<std::uint8_t>(255) == 255);
  CHECK(error_text([] { checked_narrow<int>(Index{1} << 31); }) == "the value 2147483648 does not fit its type");
  CHECK_THROWS_AS(checked_narrow<std::uint8_t>(-1), Error);
}

TEST_CASE("a shape knows its extents and elements") {
  const Shape shape{3, 1, 5};
  CHECK(shape.dimensions() == 3);
  CHECK(shape.elements() == 15);
  CHECK(shape.elements(0, 0) == 1);
  CHECK(shape.elements(0, 2) == 3);
  CHECK(shape.elements(1, 3) == 5);
  CHECK(shape[2] == 5);
  CHECK(shape.to_string() == "(3, 1, 5)");
  CHECK(shape.appended(2) == Shape{3, 1, 5, 2});
  CHECK(shape.without(1) == Shape{3, 5});
  CHECK(shape.without(-1) == Shape{3, 1});
  CHECK(shape != Shape{3, 5, 1});
  CHECK(shape != Shape{3, 1, 5, 1});

  const Shape scalar;
  CHECK(scalar.dimensions() == 0);
  CHECK(scalar.elements() == 1);
  CHECK(scalar.to_string() == "()");
  CHECK(scalar.index(0).empty());
  CHECK(scalar.flat({}) == 0);
  CHECK(Shape{0}.elements() == 0);
  CHECK(scalar != Shape{1});
}

TEST_CASE("flat() and index() are each other's inverse, row-major") {
  for (const Shape& shape : {Shape{2, 3, 4}, Shape{1, 7}, Shape{5}, Shape{2, 1, 1, 3}}) {
    std::vector<Index> expected(static_cast<std::size_t>(shape.dimensions()));
    for (Index flat = 0; flat < shape.elements(); ++flat) {
      CHECK(shape.index(flat) == expected);
      CHECK(shape.flat(expected) == flat);
      for (int dim = shape.dimensions() - 1; dim >= 0; --dim) {
        auto& i = expected[static_cast<std::size_t>(dim)];
        if (++i < shape[dim]) break;
        i = 0;
      }
    }
  }
}

TEST_CASE("a dimension may be counted from the end") {
  const Shape shape{2, 3};
  CHECK(shape.dimension(0) == 0);
  CHECK(shape.dimension(1) == 1);
  CHECK(shape.dimension(-1) == 1);
  CHECK(shape.dimension(-2) == 0);
  CHECK(error_text([&] { shape.dimension(2, "embedding dimension"); }) ==
        "embedding dimension 2 does not exist in the shape (2, 3)");
  CHECK(error_text([&] { shape.dimension(-3); }) == "dimension -3 does not exist in the shape (2, 3)");
  CHECK_THROWS_AS(Shape().dimension(0), Error);
  CHECK_THROWS_AS(shape.without(2), Error);
}

TEST_CASE("a shape refuses negative extents and more elements than 64 bits can count") {
  CHECK(error_text([] { Shape{2, -1}; }) == "a shape has the negative extent -1");
  CHECK_THROWS_AS((Shape{0, -1}), Error);
  CHECK(Shape{Index{1} << 31, Index{1} << 31}.elements() == Index{1} << 62);
  CHECK_THROWS_AS((Shape{Index{1} << 32, Index{1} << 31}), Error);
  CHECK_THROWS_AS((Shape{greatest, 2}), Error);
  CHECK((Shape{greatest, 2, 0}).elements() == 0);  // nothing to count, whatever the other extents
  CHECK_THROWS_AS((Shape{greatest, 1}.appended(2)), Error);
  CHECK_THROWS_AS((Shape{greatest, 2, 0}.elements(0, 2)), Error);
  CHECK(Box(Shape{greatest, 2, 0}).elements() == 0);
}

TEST_CASE("errors say who reported them") {
  const RemoteError remote(3, "bad index");
  CHECK(remote.rank() == 3);
  CHECK(remote.text() == "bad index");
  CHECK(remote.what() == std::string("rank 3: bad index"));
  CHECK(MpiError("lost", 7).code() == 7);
}

}  // namespace
}  // namespace tartan
