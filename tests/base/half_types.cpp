#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include <tartan/base/half_types.hpp>
#include <tartan/base/random.hpp>

#include "support/catch.hpp"

using namespace tartan;

namespace {

/// The bits of every value of a half type, in order of value: ±0 once, as +0, without infinities and NaNs.
template <class T>
std::vector<std::uint16_t> finite_values() {
  const std::uint16_t infinity = std::numeric_limits<T>::infinity().bits;
  std::vector<std::uint16_t> bits;
  for (int b = infinity - 1; b > 0; --b) bits.push_back(static_cast<std::uint16_t>(b | 0x8000));
  for (int b = 0; b < infinity; ++b) bits.push_back(static_cast<std::uint16_t>(b));
  return bits;
}

}  // namespace

static_assert(std::is_trivial_v<bfloat16> && sizeof(bfloat16) == 2);
static_assert(std::is_trivial_v<half> && sizeof(half) == 2);
static_assert(!std::is_convertible_v<half, float> && !std::is_convertible_v<float, half>);
static_assert(is_floating<half> && is_floating<double> && !is_floating<int>);
static_assert(std::is_same_v<Accumulator<bfloat16>, float> && std::is_same_v<Accumulator<double>, double>);

TEMPLATE_TEST_CASE("every half value survives the way through float and double", "", bfloat16, half) {
  int wrong = 0;
  for (int b = 0; b < 65536; ++b) {
    const auto x = TestType::from_bits(static_cast<std::uint16_t>(b));
    const auto f = static_cast<float>(x);
    if (std::isnan(f)) {
      wrong += !std::isnan(static_cast<float>(TestType(f))) || !std::isnan(static_cast<float>(TestType(double{f})));
      wrong += std::signbit(static_cast<float>(TestType(f))) != (b >= 32768);
    } else {
      wrong += TestType(f).bits != b || TestType(static_cast<double>(x)).bits != b;
    }
  }
  REQUIRE(wrong == 0);
}

TEMPLATE_TEST_CASE("half values of neighbouring bits are neighbours, and what lies between goes to the nearer", "",
                   bfloat16, half) {
  const auto values = finite_values<TestType>();
  int wrong = 0;
  for (std::size_t i = 0; i + 1 < values.size(); ++i) {
    const auto low = TestType::from_bits(values[i]), high = TestType::from_bits(values[i + 1]);
    const auto a = static_cast<double>(low), b = static_cast<double>(high), middle = (a + b) / 2;
    const double below = std::nextafter(middle, a), above = std::nextafter(middle, b);
    wrong += !(a < b);
    const auto even = values[i] % 2 == 0 ? low : high;
    wrong += TestType(middle) != even || TestType(below) != low || TestType(above) != high;
    const auto m = static_cast<float>(middle);
    if (static_cast<double>(m) != middle) continue;  // a tie between subnormals of bfloat16
    wrong += TestType(m) != even;
    wrong += TestType(std::nextafter(m, static_cast<float>(low))) != low;
    wrong += TestType(std::nextafter(m, static_cast<float>(high))) != high;
  }
  REQUIRE(wrong == 0);
}

TEMPLATE_TEST_CASE("half types at the ends of their range", "", bfloat16, half) {
  using Limits = std::numeric_limits<TestType>;
  const auto largest = static_cast<double>(Limits::max());
  const double half_unit = std::ldexp(1.0, Limits::max_exponent - Limits::digits - 1);
  CHECK(largest == (1 - std::ldexp(1.0, -Limits::digits)) * std::ldexp(1.0, Limits::max_exponent));
  CHECK(TestType(largest + half_unit).bits == Limits::infinity().bits);
  CHECK(TestType(std::nextafter(largest + half_unit, 0.0)).bits == Limits::max().bits);
  CHECK(TestType(-1e300).bits == (Limits::infinity().bits | 0x8000));
  CHECK(TestType(std::numeric_limits<float>::infinity()).bits == Limits::infinity().bits);
  CHECK(static_cast<float>(Limits::lowest()) == -static_cast<float>(Limits::max()));

  CHECK(static_cast<double>(Limits::min()) == std::ldexp(1.0, Limits::min_exponent - 1));
  CHECK(static_cast<double>(Limits::denorm_min()) == std::ldexp(1.0, Limits::min_exponent - Limits::digits));
  CHECK(TestType(1) + Limits::epsilon() > 1.0);
  CHECK(static_cast<double>(Limits::epsilon()) == std::ldexp(1.0, 1 - Limits::digits));
  CHECK(TestType(static_cast<double>(Limits::denorm_min()) / 2).bits == 0);
  CHECK(TestType(-1e-300).bits == 0x8000);
  CHECK(std::isnan(static_cast<float>(Limits::quiet_NaN())));
  CHECK(std::isnan(static_cast<float>(Limits::signaling_NaN())));
  CHECK(Limits::round_error() == 0.5F);
  CHECK(TestType(-3) == -3.0);
}

TEMPLATE_TEST_CASE("doubles round to half types once, not by way of float", "", bfloat16, half) {
  const RandomStream random(3, "half types");
  int wrong = 0;
  for (Index i = 0; i < 20000; ++i) {
    // A tie between 1 and 2, and a double next to it that float cannot tell from it.
    const auto low = TestType::from_bits(static_cast<std::uint16_t>(
        TestType(1).bits + random.below(i, Index{1} << (std::numeric_limits<TestType>::digits - 1))));
    const auto high = TestType::from_bits(static_cast<std::uint16_t>(low.bits + 1));
    const double tie = (static_cast<double>(low) + static_cast<double>(high)) / 2;
    const double tiny = 0x1p-40 * (1 + random.uniform(i));
    wrong += TestType(tie + tiny).bits != high.bits || TestType(tie - tiny).bits != low.bits;
    wrong += TestType(-tie - tiny).bits != (high.bits | 0x8000) || TestType(-tie + tiny).bits != (low.bits | 0x8000);
  }
  REQUIRE(wrong == 0);
}

TEMPLATE_TEST_CASE("arithmetic of half types is that of real numbers, rounded once", "", bfloat16, half) {
  const RandomStream random(4, "half types");
  const auto value = [&](Index i) { return TestType(random.normal(i)); };
  int wrong = 0;
  for (Index i = 0; i < 20000; ++i) {
    const TestType a = value(2 * i), b = value(2 * i + 1);
    const auto x = static_cast<double>(a), y = static_cast<double>(b);
    wrong += (a + b).bits != TestType(x + y).bits || (a - b).bits != TestType(x - y).bits;
    wrong += (a * b).bits != TestType(x * y).bits;
    wrong += (a / b).bits != TestType(x / y).bits;
    wrong += (a < b) != (x < y) || (a == b) != (x == y) || (-a).bits != TestType(-x).bits;
    TestType c = a;
    c += b;
    c -= a;
    c *= b;
    c /= a;
    wrong += c.bits != ((a + b - a) * b / a).bits;
  }
  REQUIRE(wrong == 0);
  const auto nan = std::numeric_limits<TestType>::quiet_NaN();
  CHECK_FALSE(nan == nan);
  CHECK((-TestType{}).bits == 0x8000);
  CHECK(TestType{}.bits == 0);
  CHECK(-TestType{} == TestType{});
}

// At compile time as at run time.
static_assert(bfloat16(1.00390625F).bits == 0x3f80 && bfloat16(1.01171875F).bits == 0x3f82);
static_assert(half(0x1p-24).bits == 1 && half(65520.0).bits == 0x7c00 && half(-2.0F) == -2);
