#include "kernels/dots.hpp"

#include "kernels/cpu/reference.hpp"
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
