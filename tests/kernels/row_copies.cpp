#include "kernels/row_copies.hpp"

#include <cmath>
#include <limits>

#include "on_devices.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

/// Distinct values, whose 8 bits every type has, among them what must keep its bits; with another `first`, others.
template <class T>
std::vector<T> values(Index n, Index first) {
  std::vector<T> result;
  for (Index i = first; i < first + n; ++i)
    result.push_back(static_cast<T>(std::ldexp(128 + i % 128, static_cast<int>(i / 128) - 7)));
  if (n > 2) result[1] = -T{};
  if (n > 3) result[2] = std::numeric_limits<T>::infinity();
  return result;
}

TEMPLATE_TEST_CASE("rows are put where they belong", "[kernels]", float, double, bfloat16, half) {
  for (const Device device : devices()) {
    for (const Index columns : {0, 1, 3, 32, 45}) {
      const std::vector<Index> rows{4, 0, 6};
      const Index stride = columns + 2;
      const auto given = values<TestType>(3 * stride, 500);
      auto expected = values<TestType>(7 * columns, 1);
      const auto from = put_on(device, given);
      const auto to = put_on(device, rows);
      auto table = put_on(device, expected);
      on(device, [&](auto where) {
        put_rows(where, to.data(), Index{3}, Matrix<const TestType>{from.data(), 3, columns, stride},
                 Matrix<TestType>{table.data(), 7, columns, columns});
      });
      for (std::size_t u = 0; u < rows.size(); ++u) {
        for (Index c = 0; c < columns; ++c) {
          expected[static_cast<std::size_t>(rows[u] * columns + c)] =
              given[u * static_cast<std::size_t>(stride) + static_cast<std::size_t>(c)];
        }
      }
      INFO(device.to_string() << ", " << columns << " columns");
      CHECK(alike(brought_back(table), expected));
    }
  }
}

TEMPLATE_TEST_CASE("the union of the rows of two matrices", "[kernels]", float, double, bfloat16, half) {
  const std::vector<Index> in_a{0, 1, -1, 2, -1};
  const std::vector<Index> in_b{-1, 0, 1, 2, 3};
  for (const Device device : devices()) {
    for (const Index columns : {0, 1, 7, 33}) {
      const auto a = values<TestType>(3 * columns, 1);
      const auto b = values<TestType>(4 * columns, 50);
      std::vector<TestType> expected;
      for (std::size_t u = 0; u < in_a.size(); ++u) {
        for (Index c = 0; c < columns; ++c) {
          const auto at = [&](const auto& rows, Index row) {
            return rows[static_cast<std::size_t>(row * columns + c)];
          };
          expected.push_back(in_a[u] < 0   ? at(b, in_b[u])
                             : in_b[u] < 0 ? at(a, in_a[u])
                                           : at(a, in_a[u]) + at(b, in_b[u]));
        }
      }
      const auto x = put_on(device, a);
      const auto y = put_on(device, b);
      const auto which_a = put_on(device, in_a);
      const auto which_b = put_on(device, in_b);
      Tensor<TestType> out(Shape{5, columns}, device);
      on(device, [&](auto where) {
        merge_rows(where, which_a.data(), which_b.data(), Matrix<const TestType>{x.data(), 3, columns, columns},
                   Matrix<const TestType>{y.data(), 4, columns, columns},
                   Matrix<TestType>{out.data(), 5, columns, columns});
      });
      INFO(device.to_string() << ", " << columns << " columns");
      CHECK(alike(brought_back(out), expected));
    }
  }
}

TEMPLATE_TEST_CASE("what hits contribute, each by itself", "[kernels]", float, double, bfloat16, half) {
  using A = Accumulator<TestType>;
  const Index columns = 5;
  const auto rows = values<TestType>(4 * columns, 3);
  const std::vector<Index> source{2, 0, 3, 3, 1, 2};
  const std::vector<A> factors{A(0.3), -2, 7, A(0.1), 1, 11};
  const std::vector<Index> which{5, 1, 2};
  const std::vector<Index> divisors{3, 1, 7};
  for (const Device device : devices()) {
    for (int options = 0; options < 16; ++options) {
      const bool has_source = options & 1, has_factors = options & 2, has_which = options & 4, divides = options & 8;
      const auto of = put_on(device, rows);
      const auto from = put_on(device, source);
      const auto factor = put_on(device, factors);
      const auto chosen = put_on(device, which);
      const auto divisor = put_on(device, divisors);
      Tensor<A> out(Shape{3, columns}, device);
      on(device, [&](auto where) {
        const Contributions<TestType> hits(Matrix<const TestType>{of.data(), 4, columns, columns},
                                           has_source ? from.data() : nullptr, has_factors ? factor.data() : nullptr);
        if (!has_source && has_which) return;  // there are 4 rows
        contributed_rows<TestType>(where, hits, has_which ? chosen.data() : nullptr, divides ? divisor.data() : nullptr,
                                   Matrix<A>{out.data(), 3, columns, columns});
      });
      if (!has_source && has_which) continue;
      std::vector<A> expected;
      for (std::size_t i = 0; i < 3; ++i) {
        const auto hit = has_which ? static_cast<std::size_t>(which[i]) : i;
        const auto row = has_source ? source[hit] : static_cast<Index>(hit);
        for (Index c = 0; c < columns; ++c) {
          auto x = static_cast<A>(rows[static_cast<std::size_t>(row * columns + c)]);
          if (has_factors) x *= factors[hit];
          if (divides) x /= static_cast<A>(divisors[i]);
          expected.push_back(x);
        }
      }
      INFO(device.to_string() << ", options " << options);
      CHECK(alike(brought_back(out), expected));
    }
  }
}

}  // namespace
}  // namespace tartan::kernels
