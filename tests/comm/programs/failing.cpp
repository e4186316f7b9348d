// Test cases that fail on purpose, to see what the harness shows of them. The culprit is the last rank.

#include <vector>

#include "support/catch.hpp"
#include "support/world.hpp"

using tartan::testing::world;

namespace {
bool culprit() { return world().rank() == world().size() - 1; }
}  // namespace

TEST_CASE("require before a barrier") {
  const int answer = culprit() ? 41 : 42;
  REQUIRE(answer == 42);
  world().barrier();
}

TEST_CASE("check on one rank") {
  const int answer = culprit() ? 41 : 42;
  CHECK(answer == 42);
  world().barrier();
}

TEST_CASE("throw before a barrier") {
  if (culprit()) throw std::runtime_error("an unexpected exception");
  world().barrier();
}

TEST_CASE("require in the first of two sections") {
  SECTION("first") {
    const int answer = culprit() ? 41 : 42;
    REQUIRE(answer == 42);
  }
  SECTION("second") { world().barrier(); }
}

TEST_CASE("check on every rank") {
  const int answer = 41;
  CHECK(answer == 42);
  world().barrier();
}

TEST_CASE("passes") { CHECK(world().size() > 0); }
