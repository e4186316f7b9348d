#include "kernels/dots.hpp"

#include <limits>

#include "kernels/cpu/reference.hpp"
#include "kernels/updates.hpp"
#include "storage.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

template <class T>
void check_dots(Index rows, Index k, Index columns) {
  const Storage<T> a{rows, columns, columns % 3, columns % 5, 1}, b{rows * k, columns, columns % 4, columns % 7, 2};
  Storage<T> out{rows, k}, expected = out;
  row_dots(Cpu{}, a.read(), b.read(), out.view().data);
  reference::row_dots(a.read(), b.read(), expected.view().data);
  INFO("rows " << rows << " k " << k << " columns " << columns);
  REQUIRE(out == expected);

  const Storage<T> g{rows, k, 0, 0, 3};
  Storage<T> grad_a{rows, columns, columns % 2, 1}, expected_a = grad_a;
  Storage<T> grad_b{rows * k, columns, columns % 5, 2}, expected_b = grad_b;
  row_dots_backward(Cpu{}, a.read(), b.read(), g.read().data, grad_a.view(), grad_b.view());
  reference::row_dots_backward(a.read(), b.read(), g.read().data, expected_a.view(), expected_b.view());
  REQUIRE(grad_a == expected_a);
  REQUIRE(grad_b == expected_b);
}

TEST_CASE("row dots and their adjoint are the reference's, bit by bit", "[kernels]") {
  for (const Index columns : widths()) {
    for (const Index k : {0, 1, 6}) {
      check_dots<float>(5, k, columns);
      check_dots<double>(5, k, columns);
    }
  }
  check_dots<float>(0, 0, 8);
  check_dots<double>(0, 0, 0);
}

TEST_CASE("the bits of row dots do not depend on the address", "[kernels]") {
  for (const Index columns : {1, 15, 33, 100}) {
    const Storage<float> a{4, columns, 0, 0, 1}, b{12, columns, 0, 0, 2};
    Storage<float> expected{4, 3};
    row_dots(Cpu{}, a.read(), b.read(), expected.view().data);
    for (Index offset = 0; offset < 16; ++offset) {
      Storage<float> moved_a{4, columns, offset % 3, offset, 1}, moved_b{12, columns, offset % 4, 17 - offset, 2},
          out{4, 3};
      for (Index r = 0; r < 4; ++r) std::copy_n(a.read().row(r), columns, moved_a.view().row(r));
      for (Index r = 0; r < 12; ++r) std::copy_n(b.read().row(r), columns, moved_b.view().row(r));
      row_dots(Cpu{}, moved_a.read(), moved_b.read(), out.view().data);
      REQUIRE(out == expected);
    }
  }
}

template <class T>
void check_leaves(Index columns) {
  constexpr Index rows = 3, k = 2;
  const Index leaves = (columns + 31) / 32;
  const Storage<T> a{rows, columns, columns % 3, columns % 5, 1}, b{rows * k, columns, columns % 4, columns % 7, 2};
  Storage<T> out{rows * k, leaves}, expected = out;
  leaf_dots(Cpu{}, a.read(), b.read(), out.view().data);
  reference::leaf_dots(a.read(), b.read(), expected.view().data);
  INFO("columns " << columns);
  REQUIRE(out == expected);

  Storage<T> sums{rows * k, 1}, expected_sums = sums;
  fold_leaves(Cpu{}, out.read().data, rows * k, leaves, sums.view().data);
  reference::fold_leaves(out.read().data, rows * k, leaves, expected_sums.view().data);
  REQUIRE(sums == expected_sums);

  const std::vector<Index> named{2, 0};
  for (const double power : {1.0, 2.0, 2.5, std::numeric_limits<double>::infinity()}) {
    Storage<double> powers{2, leaves}, expected_powers = powers;
    leaf_power_sums(Cpu{}, a.read(), named.data(), 2, power, powers.view().data);
    reference::leaf_power_sums(a.read(), named.data(), 2, power, expected_powers.view().data);
    REQUIRE(powers == expected_powers);
  }
  const std::vector<Index> all{0, 1, 2};
  Storage<double> squares{rows, leaves}, expected_squares = squares;
  leaf_squares(Cpu{}, a.read(), squares.view().data);
  reference::leaf_power_sums(a.read(), all.data(), rows, 2, expected_squares.view().data);
  REQUIRE(squares == expected_squares);
}

TEST_CASE("the leaves of row sums are the reference's, bit by bit", "[kernels]") {
  for (const Index columns : widths()) {
    check_leaves<float>(columns);
    check_leaves<double>(columns);
  }
}

TEST_CASE("leaves are folded in groups of 32", "[kernels]") {
  for (const Index leaves : {0, 1, 2, 31, 32, 33, 63, 64, 65, 1024, 1025, 40'000}) {
    const Storage<float> terms{2, leaves};
    Storage<float> out{2, 1}, expected = out;
    fold_leaves(Cpu{}, terms.read().data, 2, leaves, out.view().data);
    reference::fold_leaves(terms.read().data, 2, leaves, expected.view().data);
    INFO("leaves " << leaves);
    REQUIRE(out == expected);
  }
}

/// The columns `begin` to `end` - 1 of a matrix.
template <class T>
Matrix<const T> columns_of(Matrix<const T> m, Index begin, Index end) {
  return {m.data + begin, m.rows, end - begin, m.stride};
}

TEST_CASE("columns split at multiples of 32 have the leaves of the whole", "[kernels]") {
  constexpr Index rows = 5, columns = 165, leaves = 6;
  const Storage<float> a{rows, columns, 0, 0, 1}, b{rows, columns, 0, 0, 2};
  Storage<float> whole{rows, leaves}, joined{rows, leaves, 0, 0, 9};
  Storage<double> squares{rows, leaves}, joined_squares{rows, leaves, 0, 0, 9};
  leaf_dots(Cpu{}, a.read(), b.read(), whole.view().data);
  leaf_squares(Cpu{}, a.read(), squares.view().data);
  for (const auto& [begin, end] : {std::pair<Index, Index>{0, 32}, {32, 32}, {32, 128}, {128, 165}}) {
    const Index mine = (end - begin + 31) / 32;
    Storage<float> part{rows, mine};
    Storage<double> part_squares{rows, mine};
    leaf_dots(Cpu{}, columns_of(a.read(), begin, end), columns_of(b.read(), begin, end), part.view().data);
    leaf_squares(Cpu{}, columns_of(a.read(), begin, end), part_squares.view().data);
    for (Index r = 0; r < rows; ++r) {
      std::copy_n(part.view().row(r), mine, joined.view().row(r) + begin / 32);
      std::copy_n(part_squares.view().row(r), mine, joined_squares.view().row(r) + begin / 32);
    }
  }
  REQUIRE(joined == whole);
  REQUIRE(joined_squares == squares);
}

TEST_CASE("the largest |w| of a leaf keeps a NaN", "[kernels]") {
  Storage<float> row{1, 40};
  row.view().data[35] = std::numeric_limits<float>::quiet_NaN();
  const Index first = 0;
  std::vector<double> leaves(2);
  leaf_power_sums(Cpu{}, row.read(), &first, 1, std::numeric_limits<double>::infinity(), leaves.data());
  CHECK(!std::isnan(leaves[0]));
  CHECK(std::isnan(leaves[1]));
}

TEST_CASE("the gradients of row dots are their transpose", "[kernels]") {
  constexpr Index rows = 7, k = 3, columns = 21;
  const Storage<double> a{rows, columns, 0, 0, 1}, b{rows * k, columns, 0, 0, 2}, g{rows, k, 0, 0, 3};
  Storage<double> grad_a{rows, columns}, grad_b{rows * k, columns}, out{rows, k};
  row_dots(Cpu{}, a.read(), b.read(), out.view().data);
  row_dots_backward(Cpu{}, a.read(), b.read(), g.read().data, grad_a.view(), grad_b.view());
  const auto inner = [](const Storage<double>& x, const Storage<double>& y) {
    double sum = 0;
    for (Index i = 0; i < x.read().rows * x.read().columns; ++i) sum += x.read().data[i] * y.read().data[i];
    return sum;
  };
  REQUIRE(close(inner(grad_a, a), inner(g, out), 1e-12));
  REQUIRE(close(inner(grad_b, b), inner(g, out), 1e-12));
}

}  // namespace
}  // namespace tartan::kernels
