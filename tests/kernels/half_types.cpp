#include <numeric>
#include <vector>

#include "kernels/bags.hpp"
#include "kernels/dots.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/rows.hpp"
#include "kernels/updates.hpp"
#include "storage.hpp"
#include "support/catch.hpp"

/// Kernels on half types against themselves on floats: the same inputs as floats, the same sums, rounded at the end.
namespace tartan::kernels {
namespace {

using namespace testing;

constexpr Index some_widths[] = {0, 1, 3, 4, 7, 16, 33, 64, 130};

/// The same numbers as floats (or doubles), laid out alike.
template <class To, class T>
Storage<To> as(const Storage<T>& x, Index rows, Index columns) {
  Storage<To> result{rows, columns};
  for (Index r = 0; r < rows; ++r) {
    for (Index c = 0; c < columns; ++c) result.view().row(r)[c] = static_cast<To>(x.read().row(r)[c]);
  }
  return result;
}

/// Whether `x` has the bits of `expected`, rounded.
template <class T, class A>
bool is_rounded(const Storage<T>& x, const Storage<A>& expected, Index rows, Index columns) {
  for (Index r = 0; r < rows; ++r) {
    for (Index c = 0; c < columns; ++c) {
      if (!same_bits(x.read().row(r)[c], static_cast<T>(expected.read().row(r)[c]))) return false;
    }
  }
  return true;
}

}  // namespace

TEMPLATE_TEST_CASE("half rows are folded in float and rounded where they are stored", "[kernels]", bfloat16, half) {
  using T = TestType;
  const std::vector<Index> hits{1, 0, 2, 64, 3, 65, 1, 130, 2300};
  std::vector<Index> ids;
  for (Index row = 0; row < std::ssize(hits); ++row) ids.insert(ids.end(), hits[row], row);
  std::shuffle(ids.begin(), ids.end(), std::mt19937_64{3});
  const auto count = std::ssize(ids), rows = std::ssize(hits);
  const auto plan = plan_rows(Cpu{}, ids.data(), count, 0, rows, -1);
  const auto distinct = std::ssize(plan.rows);
  const auto source = skewed_ids<Index>(count, 0, count / 3, 8);
  for (const Index columns : some_widths) {
    const Storage<T> terms{count / 3, columns, columns % 3, columns % 5};
    const auto wide = as<float>(terms, count / 3, columns);
    const Storage<float> factors{count, 1, 0, 0, 7};
    for (const float* factor : {static_cast<const float*>(nullptr), factors.read().data}) {
      INFO("columns " << columns << " weighted " << (factor != nullptr));
      Storage<T> out{distinct, columns, 2, 1};
      Storage<float> sums{distinct, columns};
      fold_rows(Cpu{}, plan, Contributions<T>{terms.read(), source.data(), factor}, out.view());
      fold_rows(Cpu{}, plan, Contributions<float>{wide.read(), source.data(), factor}, sums.view());
      REQUIRE(is_rounded(out, sums, distinct, columns));

      Storage<T> table{rows, columns, 1, 3};
      auto expected = as<float>(table, rows, columns);
      accumulate_rows(Cpu{}, plan, Contributions<T>{terms.read(), source.data(), factor}, table.view());
      accumulate_rows(Cpu{}, plan, Contributions<float>{wide.read(), source.data(), factor}, expected.view());
      REQUIRE(is_rounded(table, expected, rows, columns));

      expected = as<float>(table, rows, columns);
      add_rows(Cpu{}, plan.rows.data(), distinct, out.read(), table.view());
      add_rows(Cpu{}, plan.rows.data(), distinct, as<float>(out, distinct, columns).read(), expected.view());
      REQUIRE(is_rounded(table, expected, rows, columns));
    }
  }
}

TEMPLATE_TEST_CASE("bags of half rows are added in float and rounded once", "[kernels]", bfloat16, half) {
  using T = TestType;
  const std::vector<Index> offsets{0, 0, 1, 3, 40, 41, 90};
  const auto bags = std::ssize(offsets) - 1;
  const auto ids = skewed_ids<std::int32_t>(offsets.back(), 5, 45);
  std::vector<Index> divisors(bags);
  std::iota(divisors.begin(), divisors.end(), 1);
  for (const Index columns : some_widths) {
    INFO("columns " << columns);
    const Storage<T> table{30, columns, 1, 3}, factors{offsets.back(), 1, 0, 0, 4};
    const auto wide = as<float>(table, 30, columns), wide_factors = as<float>(factors, offsets.back(), 1);
    for (const bool weighted : {false, true}) {
      Storage<T> out{bags, columns, 1};
      Storage<float> expected{bags, columns};
      const Index* const divisor = weighted ? nullptr : divisors.data();
      sum_bags(Cpu{}, table.read(), 10, ids.data(), offsets.data(), weighted ? factors.read().data : nullptr, divisor,
               12, out.view());
      sum_bags(Cpu{}, wide.read(), 10, ids.data(), offsets.data(), weighted ? wide_factors.read().data : nullptr,
               divisor, 12, expected.view());
      REQUIRE(is_rounded(out, expected, bags, columns));
    }
    Storage<T> out{bags, columns, 1};
    Storage<float> expected{bags, columns};
    std::vector<Index> winners(bags * columns), expected_winners = winners;
    max_bags(Cpu{}, table.read(), 10, ids.data(), offsets.data(), 12, out.view(), winners.data());
    max_bags(Cpu{}, wide.read(), 10, ids.data(), offsets.data(), 12, expected.view(), expected_winners.data());
    REQUIRE(is_rounded(out, expected, bags, columns));
    REQUIRE(winners == expected_winners);

    const Storage<T> upstream{std::ssize(ids), columns, 2, 0, 9};
    Storage<T> dots{std::ssize(ids), 1};
    Storage<float> expected_dots{std::ssize(ids), 1};
    hit_dots(Cpu{}, table.read(), 10, ids.data(), std::ssize(ids), upstream.read(), nullptr, dots.view().data);
    hit_dots(Cpu{}, wide.read(), 10, ids.data(), std::ssize(ids), as<float>(upstream, std::ssize(ids), columns).read(),
             nullptr, expected_dots.view().data);
    REQUIRE(is_rounded(dots, expected_dots, std::ssize(ids), 1));
  }
}

TEMPLATE_TEST_CASE("dots of half rows and their adjoint are those of floats, rounded", "[kernels]", bfloat16, half) {
  using T = TestType;
  constexpr Index rows = 4, k = 3;
  for (const Index columns : some_widths) {
    INFO("columns " << columns);
    const Storage<T> a{rows, columns, 1, 1, 1}, b{rows * k, columns, 2, 3, 2}, g{rows, k, 0, 0, 3};
    const auto x = as<float>(a, rows, columns), y = as<float>(b, rows * k, columns), up = as<float>(g, rows, k);
    Storage<T> out{rows, k}, to_a{rows, columns, 1}, to_b{rows * k, columns, 2};
    Storage<float> dots{rows, k}, grad_a{rows, columns}, grad_b{rows * k, columns};
    row_dots(Cpu{}, a.read(), b.read(), out.view().data);
    row_dots(Cpu{}, x.read(), y.read(), dots.view().data);
    REQUIRE(is_rounded(out, dots, rows, k));
    row_dots_backward(Cpu{}, a.read(), b.read(), g.read().data, to_a.view(), to_b.view());
    row_dots_backward(Cpu{}, x.read(), y.read(), up.read().data, grad_a.view(), grad_b.view());
    REQUIRE(is_rounded(to_a, grad_a, rows, columns));
    REQUIRE(is_rounded(to_b, grad_b, rows * k, columns));

    const Index leaves = (columns + 31) / 32;
    Storage<float> ours{rows * k, leaves}, theirs = ours;
    leaf_dots(Cpu{}, a.read(), b.read(), ours.view().data);
    leaf_dots(Cpu{}, x.read(), y.read(), theirs.view().data);
    REQUIRE(ours == theirs);
  }
}

TEMPLATE_TEST_CASE("norms and scaled rows of half types", "[kernels]", bfloat16, half) {
  using T = TestType;
  const std::vector<Index> rows{3, 0, 6};
  const std::vector<double> factors{0.3, 1, 1.7};
  for (const Index columns : some_widths) {
    Storage<T> table{8, columns, 1, 3};
    auto wide = as<float>(table, 8, columns);
    const Index leaves = (columns + 31) / 32;
    for (const double power : {1.0, 2.0, 2.5, std::numeric_limits<double>::infinity()}) {
      Storage<double> sums{3, 1}, expected = sums, parts{3, leaves}, expected_parts = parts;
      row_power_sums(Cpu{}, table.read(), rows.data(), 3, power, sums.view().data);
      row_power_sums(Cpu{}, wide.read(), rows.data(), 3, power, expected.view().data);
      REQUIRE(sums == expected);
      leaf_power_sums(Cpu{}, table.read(), rows.data(), 3, power, parts.view().data);
      leaf_power_sums(Cpu{}, wide.read(), rows.data(), 3, power, expected_parts.view().data);
      REQUIRE(parts == expected_parts);
    }
    scale_rows(Cpu{}, rows.data(), 3, factors.data(), table.view());
    scale_rows(Cpu{}, rows.data(), 3, factors.data(), wide.view());
    REQUIRE(is_rounded(table, wide, 8, columns));
  }
}

TEMPLATE_TEST_CASE("updates of half weights are computed in float, with state in float", "[kernels]", bfloat16, half) {
  using T = TestType;
  const std::vector<Index> rows{0, 3, 4, 9};
  const Index count = std::ssize(rows);
  for (const Index columns : some_widths) {
    const Storage<T> gradient{count, columns, 1};
    const auto wide_gradient = as<float>(gradient, count, columns);
    Storage<float> positive{12, columns, 0, 0, 5};
    for (Index i = 0; i < 12 * columns; ++i) positive.view().data[i] = std::abs(positive.view().data[i]);
    const auto check = [&](auto update) {
      Storage<T> weight{12, columns, 0, 0, 4};
      auto expected = as<float>(weight, 12, columns);
      auto state = positive, expected_state = positive;
      update(gradient.read(), state, weight.view());
      update(wide_gradient.read(), expected_state, expected.view());
      REQUIRE(is_rounded(weight, expected, 12, columns));
      REQUIRE(state == expected_state);
    };
    check([&](auto g, auto&, auto w) { sgd_update(Cpu{}, rows.data(), g, 0.3F, w); });
    check([&](auto g, auto& sum, auto w) { adagrad_update(Cpu{}, rows.data(), g, 0.3F, 1e-10F, sum.view(), w); });
    check([&](auto g, auto& first, auto w) {
      using W = std::remove_pointer_t<decltype(w.data)>;
      auto second = positive;
      const AdamRule<W> rule{0.3F, 0.9F, 0.1F, 0.99F, 0.01F, 1.1F, 1e-8F};
      adam_update(Cpu{}, rows.data(), g, rule, first.view(), second.view(), w);
    });
    check([&](auto g, auto& rates, auto w) { rowwise_update(Cpu{}, rows.data(), g, rates.read().data, w); });
    check([&](auto g, auto& buffer, auto w) {
      using W = std::remove_pointer_t<decltype(w.data)>;
      for (Index r = 0; r < count; ++r) {
        momentum_update(Cpu{}, g.row(r), columns, MomentumRule<W>{0.3F, 0.9F, 0.8F, 0.1F, true}, buffer.view().row(r),
                        w.row(r));
      }
    });
    Storage<double> squares{count, 1}, expected = squares;
    row_squares(Cpu{}, gradient.read(), squares.view().data);
    row_squares(Cpu{}, wide_gradient.read(), expected.view().data);
    REQUIRE(squares == expected);
  }
}

TEMPLATE_TEST_CASE("half numbers are widened and rounded", "[kernels]", bfloat16, half) {
  using T = TestType;
  constexpr Index n = 1001;
  const Storage<T> a{1, n};
  const auto x = as<float>(a, 1, n);
  Storage<float> wide{1, n};
  widen(Cpu{}, a.read().data, n, wide.view().data);
  REQUIRE(wide == x);
  const Storage<float> inexact{1, n, 0, 0, 5};
  Storage<T> narrow{1, n, 0, 0, 7};
  round_to(Cpu{}, inexact.read().data, n, narrow.view().data);
  REQUIRE(is_rounded(narrow, inexact, 1, n));
}

}  // namespace tartan::kernels
