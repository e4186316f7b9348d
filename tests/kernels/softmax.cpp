// Softmax of rows, whole or under a causal mask.

#include "kernels/softmax.hpp"

#include <algorithm>

#include "rounded.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

struct Case {
  Index rows, columns;
  SoftmaxRows options;
};

template <class T>
void check_softmax(Device device, const Case& c) {
  const Index n = c.rows * c.columns;
  const auto x = drawn<T>(n, 1, 3);
  const auto g = drawn<T>(n, 2);
  auto there = put_on(device, x);
  const auto upstream = put_on(device, g);
  Tensor<T> out(Shape{n}, device);
  const auto matrix = [&](auto* data) { return Matrix{data, c.rows, c.columns, c.columns}; };
  on(device,
     [&](auto where) { softmax_rows<T>(where, matrix(std::as_const(there).data()), c.options, matrix(out.data())); });
  const auto y = brought_back(out);
  std::vector<double> values, gradients;
  for (Index i = 0; i < c.rows; ++i) {
    const Index seen =
        c.options.period == 0 ? c.columns : std::min(c.options.first + i % c.options.period + 1, c.columns);
    double sum = 0, product = 0;
    for (Index k = 0; k < seen; ++k) {
      sum += std::exp(c.options.factor * at(x, i * c.columns + k));
      product += at(y, i * c.columns + k) * at(g, i * c.columns + k);
    }
    for (Index k = 0; k < c.columns; ++k) {
      const Index at_k = i * c.columns + k;
      values.push_back(k < seen ? std::exp(c.options.factor * at(x, at_k)) / sum : 0);
      gradients.push_back(k < seen ? c.options.factor * at(y, at_k) * (at(g, at_k) - product) : 0);
    }
  }
  check_rounded(y, values);
  on(device, [&](auto where) {
    softmax_rows_backward<T>(where, matrix(std::as_const(out).data()), matrix(upstream.data()), c.options,
                             matrix(there.data()));
  });
  check_rounded(brought_back(there), gradients);
}

TEMPLATE_TEST_CASE("softmax of rows on every device", "[kernels]", float, double, bfloat16, half) {
  for (const auto device : devices()) {
    for (const auto& c : std::vector<Case>{{0, 3, {}},
                                           {3, 0, {}},
                                           {1, 1, {}},
                                           {4, 33, {}},
                                           {3, 200, {.factor = 0.5}},
                                           {6, 5, {.factor = 0.25, .period = 3, .first = 1}},
                                           {8, 70, {.factor = 1, .period = 4, .first = 30}}}) {
      check_softmax<TestType>(device, c);
    }
  }
}

TEMPLATE_TEST_CASE("log_softmax of rows on every device", "[kernels]", float, double, bfloat16, half) {
  using T = TestType;
  for (const auto device : devices()) {
    for (const auto& [rows, columns] : {std::pair<Index, Index>{0, 3}, {3, 0}, {1, 1}, {4, 33}, {2, 200}}) {
      const Index n = rows * columns;
      const auto x = drawn<T>(n, 1, 3);
      const auto g = drawn<T>(n, 2);
      const auto there = put_on(device, x);
      const auto upstream = put_on(device, g);
      Tensor<T> out(Shape{n}, device), back(Shape{n}, device);
      const auto matrix = [&](auto* data) { return Matrix{data, rows, columns, columns}; };
      on(device, [&](auto where) {
        log_softmax_rows<T>(where, matrix(there.data()), matrix(out.data()));
        log_softmax_rows_backward<T>(where, matrix(std::as_const(out).data()), matrix(upstream.data()),
                                     matrix(back.data()));
      });
      const auto y = brought_back(out);
      std::vector<double> values, gradients;
      for (Index i = 0; i < n; ++i) {
        double sum = 0, total = 0;
        for (Index k = i / columns * columns; k < (i / columns + 1) * columns; ++k) {
          sum += std::exp(at(x, k));
          total += at(g, k);
        }
        values.push_back(at(x, i) - std::log(sum));
        gradients.push_back(at(g, i) - std::exp(at(y, i)) * total);
      }
      check_rounded(y, values);
      check_rounded(brought_back(back), gradients);
    }
  }
}

TEMPLATE_TEST_CASE("softmax of parts of rows on every device", "[kernels]", float, double, bfloat16, half) {
  using T = TestType;
  const Index rows = 3;
  for (const auto device : devices()) {
    for (const Index columns : {Index{0}, Index{1}, Index{40}, Index{200}}) {
      for (const bool logarithm : {false, true}) {
        const Index n = rows * columns;
        const auto x = drawn<T>(n, 1, 3);
        const auto g = drawn<T>(n, 2);
        const std::vector<double> statistics{4, 10, 5, 20, 6, 0.5}, totals{0.5, -1, 2};
        const auto there = put_on(device, x);
        const auto upstream = put_on(device, g);
        const auto given = put_on(device, statistics), sums = put_on(device, totals);
        Tensor<T> out(Shape{n}, device), back(Shape{n}, device);
        Tensor<double> added(Shape{rows}, device);
        const auto matrix = [&](auto* data) { return Matrix{data, rows, columns, columns}; };
        on(device, [&](auto where) {
          softmax_of_shard<T>(where, matrix(there.data()), given.data(), logarithm, matrix(out.data()));
          const auto y = matrix(std::as_const(out).data());
          softmax_shard_sums<T>(where, y, matrix(upstream.data()), logarithm, added.data());
          softmax_of_shard_backward<T>(where, y, matrix(upstream.data()), sums.data(), logarithm, matrix(back.data()));
        });
        const auto y = brought_back(out);
        std::vector<double> values, gradients, expected(static_cast<std::size_t>(rows));
        for (Index i = 0; i < n; ++i) {
          const auto row = static_cast<std::size_t>(i / columns);
          const double logits = at(x, i) - statistics[2 * row];
          values.push_back(logarithm ? logits - std::log(statistics[2 * row + 1])
                                     : std::exp(logits) / statistics[2 * row + 1]);
          expected[row] += logarithm ? at(g, i) : at(g, i) * at(y, i);
          gradients.push_back(logarithm ? at(g, i) - std::exp(at(y, i)) * totals[row]
                                        : at(y, i) * (at(g, i) - totals[row]));
        }
        check_rounded(y, values);
        check_rounded(brought_back(back), gradients);
        check_rounded(brought_back(added), expected);
      }
    }
  }
}

TEST_CASE("softmax at scale 1000, of -infinity and NaN", "[kernels]") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto device : devices()) {
    const auto x =
        put_on(device, std::vector<double>{1e3, -1e3, -infinity, -infinity, -infinity, -infinity, 0, nan, 0});
    Tensor<double> out(Shape{9}, device), logs(Shape{9}, device);
    on(device, [&](auto where) {
      softmax_rows<double>(where, {x.data(), 3, 3, 3}, {}, {out.data(), 3, 3, 3});
      log_softmax_rows<double>(where, {x.data(), 3, 3, 3}, {logs.data(), 3, 3, 3});
    });
    const auto y = brought_back(out);
    CHECK(std::vector<double>(y.begin(), y.begin() + 3) == std::vector<double>{1, 0, 0});
    for (std::size_t i = 3; i < 9; ++i) CHECK(std::isnan(y[i]));
    const auto z = brought_back(logs);
    CHECK(std::vector<double>(z.begin(), z.begin() + 3) == std::vector<double>{0, -2000, -infinity});
    for (std::size_t i = 3; i < 9; ++i) CHECK(std::isnan(z[i]));
  }
}

}  // namespace
}  // namespace tartan::kernels
