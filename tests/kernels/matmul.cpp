#include "kernels/matmul.hpp"

#include <limits>

#include "kernels/accumulator.hpp"
#include "storage.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

/// Element (i, j) of a product of `a` and `b`, each read at (row, column) by the given functions, and the sum of the
/// magnitudes of its terms.
template <class A, class B>
std::pair<double, double> element(Index terms, A a, B b) {
  double sum = 0, magnitude = 0;
  for (Index k = 0; k < terms; ++k) {
    const double term = static_cast<double>(a(k)) * static_cast<double>(b(k));
    sum += term;
    magnitude += std::abs(term);
  }
  return {sum, magnitude};
}

/// A sum of so many terms in the accumulator of T, rounded to T.
template <class T>
bool near(T value, std::pair<double, double> expected, Index terms) {
  const double bound =
      static_cast<double>(terms + 1) * std::numeric_limits<Accumulator<T>>::epsilon() * expected.second;
  return T(expected.first - bound) <= value && value <= T(expected.first + bound);
}

template <class T>
void check_products(Index m, Index n, Index k, Index gap) {
  INFO(m << " x " << n << " by sums of " << k << ", rows " << gap << " apart");
  const Storage<T> a(m, k, gap, 1, 1), a_t(k, m, gap, 0, 2), b(k, n, gap, 3, 3), b_t(n, k, gap, 1, 4);
  const auto untouched = Storage<T>(m, n, gap, 1, 5);
  const auto check = [&](auto multiply, auto left, auto right) {
    auto out = untouched;
    multiply(out.view());
    bool right_everywhere = true;
    for (Index i = 0; i < m; ++i) {
      for (Index j = 0; j < n; ++j) {
        const auto expected = element(
            k, [&](Index c) { return left(i, c); }, [&](Index c) { return right(c, j); });
        right_everywhere = right_everywhere && near(out.view().row(i)[j], expected, k);
        out.view().row(i)[j] = untouched.read().row(i)[j];
      }
    }
    CHECK(right_everywhere);
    CHECK(out == untouched);  // and nothing was written beside it
  };
  const auto at = [](const Storage<T>& s) { return [&s](Index i, Index j) { return s.read().row(i)[j]; }; };
  const auto turned = [](const Storage<T>& s) { return [&s](Index i, Index j) { return s.read().row(j)[i]; }; };
  check([&](Matrix<T> out) { matmul(Cpu{}, a.read(), b.read(), out); }, at(a), at(b));
  check([&](Matrix<T> out) { matmul_transposed_right(Cpu{}, a.read(), b_t.read(), out); }, at(a), turned(b_t));
  check([&](Matrix<T> out) { matmul_transposed_left(Cpu{}, a_t.read(), b.read(), out); }, turned(a_t), at(b));
}

TEMPLATE_TEST_CASE("matrix products of every shape", "[kernels]", float, double, bfloat16, half) {
  for (const Index m : {0, 1, 2, 5, 33}) {
    for (const Index n : {0, 1, 3, 8, 65}) {
      for (const Index k : {0, 1, 4, 7, 130}) {
        for (const Index gap : {0, 3}) check_products<TestType>(m, n, k, gap);
      }
    }
  }
  check_products<TestType>(300, 200, 700, 1);
  check_products<TestType>(2, 600, 9, 1);
}

/// Groups of 32 are added in order, and so are their sums, until one remains.
double sum_by_groups(std::vector<double> terms) {
  do {
    std::vector<double> sums(1);
    for (std::size_t i = 0; i < terms.size(); ++i) {
      if (i % 32 == 0 && i > 0) sums.push_back(0);
      sums.back() += terms[i];
    }
    terms = sums;
  } while (terms.size() > 1);
  return terms[0];
}

TEMPLATE_TEST_CASE("a row added to rows, and sums of columns", "[kernels]", float, double, bfloat16, half) {
  for (const Index rows : {0, 1, 2, 32, 33, 50, 1100}) {
    for (const Index columns : {0, 1, 9}) {
      const Storage<TestType> a(rows, columns, 2, 1, 1), row(1, columns, 0, 0, 2);
      auto out = a;
      add_to_rows(Cpu{}, row.read().data, out.view());
      std::vector<TestType> sums(static_cast<std::size_t>(columns) + 1, TestType(7));
      column_sums(Cpu{}, a.read(), sums.data());
      CHECK(sums.back() == 7);
      for (Index c = 0; c < columns; ++c) {
        std::vector<double> terms;
        for (Index i = 0; i < rows; ++i) {
          terms.push_back(static_cast<double>(a.read().row(i)[c]));
          CHECK(out.view().row(i)[c] == a.read().row(i)[c] + row.read().row(0)[c]);
          out.view().row(i)[c] = a.read().row(i)[c];
        }
        const double sum = sum_by_groups(terms);
        CHECK(sums[static_cast<std::size_t>(c)] == static_cast<TestType>(sum));
      }
      CHECK(out == a);
    }
  }
}

}  // namespace
}  // namespace tartan::kernels
