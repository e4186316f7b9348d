// Dot products of rows on a CUDA device against the naive ones, bit for bit.

#include "cuda_storage.hpp"
#include "kernels/cpu/reference.hpp"
#include "kernels/dots.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

template <class T>
void check_dots(Index rows, Index k, Index columns, Index gap, Index offset) {
  const Storage<T> a{rows, columns, gap, offset, 1}, b{rows * k, columns, gap, offset, 2}, g{rows, k, 0, 0, 3};
  const CudaStorage<T> a_there(a), b_there(b), g_there(g);
  INFO("rows " << rows << " k " << k << " columns " << columns << " gap " << gap << " offset " << offset);

  Storage<T> expected{rows, k};
  CudaStorage<T> out(expected);
  reference::row_dots(a.read(), b.read(), expected.view().data);
  on(gpu(), [&](auto where) { row_dots(where, a_there.read(), b_there.read(), out.view().data); });
  REQUIRE(out == expected);

  Storage<T> grad_a{rows, columns, gap, offset, 4}, grad_b{rows * k, columns, gap, offset, 5};
  CudaStorage<T> grad_a_there(grad_a), grad_b_there(grad_b);
  reference::row_dots_backward(a.read(), b.read(), g.read().data, grad_a.view(), grad_b.view());
  on(gpu(), [&](auto where) {
    row_dots_backward(where, a_there.read(), b_there.read(), g_there.read().data, grad_a_there.view(),
                      grad_b_there.view());
  });
  REQUIRE(grad_a_there == grad_a);
  REQUIRE(grad_b_there == grad_b);

  const Index leaves = (columns + 31) / 32;
  Storage<T> pieces{rows * k, leaves, 0, 0, 6}, sums{rows * k, 1, 0, 0, 7};
  CudaStorage<T> pieces_there(pieces), sums_there(sums);
  reference::leaf_dots(a.read(), b.read(), pieces.view().data);
  reference::fold_leaves(pieces.read().data, rows * k, leaves, sums.view().data);
  on(gpu(), [&](auto where) {
    leaf_dots(where, a_there.read(), b_there.read(), pieces_there.view().data);
    fold_leaves(where, std::as_const(pieces_there).read().data, rows * k, leaves, sums_there.view().data);
  });
  REQUIRE(pieces_there == pieces);
  REQUIRE(sums_there == sums);
}

TEST_CASE("row dots, their adjoint and their leaves on a CUDA device are the naive ones", "[kernels][cuda]") {
  for (const Index columns : widths()) {
    for (const Index k : {0, 1, 6}) {
      check_dots<float>(5, k, columns, columns % 3, columns % 5);
      check_dots<double>(5, k, columns, columns % 2, 0);
    }
  }
  for (const Index columns : {4, 8, 16, 28, 32, 36, 64, 68, 128, 132, 512}) check_dots<float>(3, 5, columns, 4, 8);
  check_dots<float>(0, 0, 8, 0, 0);
  check_dots<double>(0, 0, 0, 0, 0);
}

TEST_CASE("more row dots than a CUDA device has threads at once", "[kernels][cuda]") {
  check_dots<float>(700, 4, 20, 0, 0);
  check_dots<double>(301, 3, 5, 1, 0);
}

TEST_CASE("leaves are folded in groups of 32 on a CUDA device", "[kernels][cuda]") {
  for (const Index leaves : {0, 1, 2, 31, 32, 33, 63, 64, 65, 1024, 1025, 40'000}) {
    const Storage<float> terms{3, leaves};
    Storage<float> expected{3, 1};
    const CudaStorage<float> terms_there(terms);
    CudaStorage<float> out(expected);
    reference::fold_leaves(terms.read().data, 3, leaves, expected.view().data);
    on(gpu(), [&](auto where) { fold_leaves(where, terms_there.read().data, 3, leaves, out.view().data); });
    INFO("leaves " << leaves);
    REQUIRE(out == expected);
  }
}

}  // namespace
}  // namespace tartan::kernels
