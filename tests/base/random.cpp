#include <tartan/base/random.hpp>

#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include <tartan/base/error.hpp>

#include "support/catch.hpp"

namespace tartan {
namespace {

using Words = std::array<std::uint32_t, 4>;

constexpr Index draws = 100'000;

/// The correlation of two sequences of uniform numbers.
template <class A, class B>
double correlation(A a, B b) {
  double sum = 0;
  for (Index i = 0; i < draws; ++i) sum += (a(i) - 0.5) * (b(i) - 0.5);
  return 12 * sum / draws;
}

TEST_CASE("philox4x32 gives the numbers published with Random123") {
  constexpr std::uint32_t ones = 0xffffffff;
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({ones, ones, ones, ones}, {ones, ones}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("the key of a random stream is its seed, the counter its index and the FNV-1a hash of its name") {
  CHECK(RandomStream(0, "").bits(0) == philox4x32({0, 0, 0x84222325, 0xcbf29ce4}, {0, 0}));
  CHECK(RandomStream(0x0123456789abcdef, "a").bits(0x1'0000'0007) ==
        philox4x32({7, 1, 0x8601ec8c, 0xaf63dc4c}, {0x89abcdef, 0x01234567}));
  CHECK(RandomStream(0, "foobar").bits(-1) == philox4x32({0xffffffff, 0xffffffff, 0xf73967e8, 0x85944171}, {0, 0}));
}

TEST_CASE("uniform numbers fill [0, 1) evenly") {
  const RandomStream stream(1, "uniform");
  std::vector<Index> histogram(100);
  double sum = 0;
  double squares = 0;
  for (Index i = 0; i < draws; ++i) {
    const double u = stream.uniform(i);
    REQUIRE(u >= 0);
    REQUIRE(u < 1);
    ++histogram[static_cast<std::size_t>(u * 100)];
    sum += u;
    squares += u * u;
  }
  CHECK(std::abs(sum / draws - 0.5) < 0.004);
  CHECK(std::abs(squares / draws - 1.0 / 3) < 0.004);
  double chi_squared = 0;
  for (const Index n : histogram) chi_squared += std::pow(static_cast<double>(n) - draws / 100.0, 2) / (draws / 100.0);
  CHECK(chi_squared > 60);  // 99 degrees of freedom
  CHECK(chi_squared < 150);
}

TEST_CASE("normal numbers have the moments of the normal distribution") {
  const RandomStream stream(1, "normal");
  std::array<double, 5> moments{};
  Index beyond_two = 0;
  for (Index i = 0; i < draws; ++i) {
    const double x = stream.normal(i);
    REQUIRE(std::isfinite(x));
    for (int k = 1; k <= 4; ++k) moments[static_cast<std::size_t>(k)] += std::pow(x, k) / draws;
    beyond_two += std::abs(x) > 2 ? 1 : 0;
  }
  CHECK(std::abs(moments[1]) < 0.015);
  CHECK(std::abs(moments[2] - 1) < 0.02);
  CHECK(std::abs(moments[3]) < 0.05);
  CHECK(std::abs(moments[4] - 3) < 0.15);
  CHECK(std::abs(static_cast<double>(beyond_two) / draws - 0.0455) < 0.003);
}

TEST_CASE("below() takes every value under its bound, evenly") {
  const RandomStream stream(7, "below");
  for (const Index bound : {1, 2, 3, 10, 97}) {
    std::vector<Index> histogram(static_cast<std::size_t>(bound));
    for (Index i = 0; i < draws; ++i) {
      const Index value = stream.below(i, bound);
      REQUIRE(value >= 0);
      REQUIRE(value < bound);
      ++histogram[static_cast<std::size_t>(value)];
    }
    const double expected = static_cast<double>(draws) / static_cast<double>(bound);
    for (const Index n : histogram) CHECK(std::abs(static_cast<double>(n) - expected) <= 5 * std::sqrt(expected));
  }
  constexpr Index greatest = std::numeric_limits<Index>::max();
  bool upper_half = false;
  for (Index i = 0; i < 100; ++i) {
    REQUIRE(stream.below(i, greatest) >= 0);
    upper_half = upper_half || stream.below(i, greatest) > greatest / 2;
  }
  CHECK(upper_half);
  CHECK_THROWS_AS(stream.below(0, 0), Error);
  CHECK_THROWS_AS(stream.below(0, -1), Error);
}

TEST_CASE("streams of other seeds, names and indices are independent, equal ones are equal") {
  const RandomStream stream(1, "tokens.weight");
  const RandomStream other_name(1, "tokens.weighu");
  const RandomStream other_seed(2, "tokens.weight");
  const RandomStream high_seed(1 + (std::uint64_t{1} << 32), "tokens.weight");
  const auto uniform = [](const RandomStream& s, Index shift = 0) {
    return [&s, shift](Index i) { return s.uniform(i + shift); };
  };
  CHECK(std::abs(correlation(uniform(stream), uniform(stream)) - 1) < 0.02);
  CHECK(std::abs(correlation(uniform(stream), uniform(other_name))) < 0.02);
  CHECK(std::abs(correlation(uniform(stream), uniform(other_seed))) < 0.02);
  CHECK(std::abs(correlation(uniform(stream), uniform(high_seed))) < 0.02);
  CHECK(std::abs(correlation(uniform(stream), uniform(stream, 1))) < 0.02);
  CHECK(std::abs(correlation(uniform(stream), uniform(stream, Index{1} << 32))) < 0.02);

  std::set<Words> seen;
  for (Index i = 0; i < 1000; ++i) {
    CHECK(RandomStream(1, "tokens.weight").bits(i) == stream.bits(i));
    for (const auto* s : {&stream, &other_name, &other_seed, &high_seed}) seen.insert(s->bits(i));
  }
  CHECK(seen.size() == 4000);
}

}  // namespace
}  // namespace tartan
