#include "kernels/losses.hpp"

#include <limits>

#include "kernels/cpu/reference.hpp"
#include "kernels/elementary.hpp"
#include "storage.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

double units_in_the_last_place(double value, double expected) {
  return std::abs(value - expected) / (std::nextafter(expected, std::numeric_limits<double>::infinity()) - expected);
}

TEST_CASE("the elementary functions are within 3 units in the last place", "[kernels]") {
  double worst_exp = 0, worst_log = 0;
  const auto check = [&](double t) {
    const double z = std::exp(-t);
    worst_exp = std::max(worst_exp, units_in_the_last_place(exp_negative(t), z));
    worst_log = std::max(worst_log, units_in_the_last_place(log1p_unit(z), std::log1p(z)));
  };
  std::mt19937_64 random{4};
  for (const double limit : {1e-9, 1e-3, 1.0, 10.0, 100.0, 708.0}) {
    std::uniform_real_distribution<double> uniform{0, limit};
    for (int i = 0; i < 200'000; ++i) check(uniform(random));
  }
  for (const double t : {0.0, 5e-324, 708.0}) check(t);
  CHECK(worst_exp <= 3);
  CHECK(worst_log <= 3);
  CHECK(exp_negative(0.0) == 1);
  CHECK(exp_negative(std::numeric_limits<double>::infinity()) == 0);
  CHECK(std::isnan(exp_negative(std::numeric_limits<double>::quiet_NaN())));
  CHECK(log1p_unit(0) == 0);
}

template <class T>
void check_cross_entropy(Index n) {
  std::mt19937_64 random{5};
  std::normal_distribution<double> normal{0, 4};
  std::vector<T> x(n), y(n), out(n), expected(n);
  for (Index i = 0; i < n; ++i) {
    x[i] = static_cast<T>(normal(random));
    y[i] = static_cast<T>(static_cast<double>(random() % 5) / 4);
  }
  INFO("n " << n);
  // What is computed in double is rounded once.
  const double tolerance = 0.51 * static_cast<double>(std::numeric_limits<T>::epsilon());
  T sum(7);
  binary_cross_entropy_sum(Cpu{}, x.data(), y.data(), n, 0.5, &sum);
  REQUIRE(close(static_cast<double>(sum), 0.5 * reference::binary_cross_entropy_sum(x.data(), y.data(), n),
                std::max(tolerance, 1e-13)));

  const auto factor = static_cast<Accumulator<T>>(0.375);
  const T upstream(1.25);
  binary_cross_entropy_backward(Cpu{}, x.data(), y.data(), factor, &upstream, n, out.data());
  reference::binary_cross_entropy_backward(x.data(), y.data(), 0.375 * 1.25, n, expected.data());
  for (Index i = 0; i < n; ++i)
    REQUIRE(std::abs(static_cast<double>(out[i]) - static_cast<double>(expected[i])) <= std::max(2 * tolerance, 5e-16));

  binary_cross_entropy_backward(Cpu{}, x.data(), y.data(), factor, &upstream, n, x.data());
  REQUIRE(x == out);
}

TEMPLATE_TEST_CASE("binary cross-entropy and its gradient agree with the reference", "[kernels]", float, double,
                   bfloat16, half) {
  for (Index n = 0; n < 40; ++n) check_cross_entropy<TestType>(n);
  check_cross_entropy<TestType>(10'007);
}

double loss(double x, double y) {
  double out = 7;
  binary_cross_entropy_sum(Cpu{}, &x, &y, 1, 1.0, &out);
  return out;
}

double gradient(double x, double y) {
  const double upstream = 1;
  double out = 7;
  binary_cross_entropy_backward(Cpu{}, &x, &y, 1.0, &upstream, 1, &out);
  return out;
}

TEST_CASE("binary cross-entropy of extreme logits", "[kernels]") {
  CHECK(close(loss(0, 0.5), std::log(2), 1e-15));
  CHECK(loss(1e300, 1) < 1e-300);
  CHECK(loss(-1e300, 0) < 1e-300);
  CHECK(loss(1e6, 0) == 1e6);
  CHECK(loss(-1e6, 1) == 1e6);
  CHECK(gradient(1e6, 0) == 1);
  CHECK(gradient(-1e6, 1) == -1);
  CHECK(std::abs(gradient(-1e6, 0)) < 1e-300);
  CHECK(std::abs(gradient(1e6, 1)) < 1e-300);
  CHECK(std::isnan(loss(std::numeric_limits<double>::quiet_NaN(), 1)));
  CHECK(std::isnan(gradient(std::numeric_limits<double>::quiet_NaN(), 1)));
}

TEST_CASE("the gradient of binary cross-entropy is its derivative", "[kernels]") {
  for (const double x : {-30.0, -2.0, -0.1, 0.0, 0.7, 5.0}) {
    for (const double y : {0.0, 0.3, 1.0}) {
      const double h = 1e-4;
      const double slope = (loss(x + h, y) - loss(x - h, y)) / (2 * h);
      CHECK(std::abs(gradient(x, y) - slope) <= 1e-8);
    }
  }
}

}  // namespace
}  // namespace tartan::kernels
