// Optimiser steps, norms of rows and their scaling on a CUDA device against those of the CPU.

#include "kernels/updates.hpp"

#include <cmath>
#include <limits>

#include "cuda_storage.hpp"
#include "kernels/rows.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

template <class T>
Storage<T> positive(Index rows, Index columns, std::uint64_t seed) {
  Storage<T> storage{rows, columns, 0, 0, seed};
  for (Index i = 0; i < rows * columns; ++i) storage.view().data[i] = std::abs(storage.view().data[i]);
  return storage;
}

/// update(where, rows, gradient, rates, first, second, weight) leaves the same bits on both devices, with named rows
/// and with all of them.
template <class T, class Update>
void check_update(const char* name, Update update) {
  using A = Accumulator<T>;
  const std::vector<Index> rows{0, 3, 4, 9, 2};
  const auto rows_there = there(rows);
  for (const Index columns : {0, 1, 3, 6, 37, 198}) {
    for (const bool named : {true, false}) {
      const Index count = named ? std::ssize(rows) : 11;
      const Storage<T> gradient{count, columns, columns % 3, 1};
      const auto rates = positive<A>(count, 1, 9);
      auto first = positive<A>(11, columns, 5), second = positive<A>(11, columns, 6);
      Storage<T> weight{11, columns, columns % 2, 0, 7};
      const CudaStorage<T> gradient_there(gradient);
      const CudaStorage<A> rates_there(rates);
      CudaStorage<A> first_there(first), second_there(second);
      CudaStorage<T> weight_there(weight);
      update(Cpu{}, named ? rows.data() : nullptr, gradient.read(), rates.read().data, first.view(), second.view(),
             weight.view());
      on(gpu(), [&](auto where) {
        update(where, named ? std::as_const(rows_there).data() : nullptr, gradient_there.read(),
               rates_there.read().data, first_there.view(), second_there.view(), weight_there.view());
      });
      INFO(name << " of " << count << " x " << columns);
      REQUIRE(weight_there == weight);
      REQUIRE(first_there == first);
      REQUIRE(second_there == second);
    }
  }
}

TEMPLATE_TEST_CASE("optimiser steps on a CUDA device have the CPU's bits", "[kernels][cuda]", float, double, bfloat16,
                   half) {
  using T = TestType;
  using A = Accumulator<T>;
  check_update<T>("sgd", [](auto where, const Index* rows, Matrix<const T> g, const A*, auto, auto, Matrix<T> weight) {
    sgd_update<T>(where, rows, g, A(0.3), weight);
  });
  check_update<T>("adagrad", [](auto where, const Index* rows, Matrix<const T> g, const A*, Matrix<A> sum, auto,
                                Matrix<T> weight) { adagrad_update<T>(where, rows, g, A(0.3), A(1e-8), sum, weight); });
  check_update<T>("adam", [](auto where, const Index* rows, Matrix<const T> g, const A*, Matrix<A> first,
                             Matrix<A> second, Matrix<T> weight) {
    const AdamRule<T> rule{A(0.3), A(0.9), A(0.1), A(0.99), A(0.01), A(1.3), A(1e-8)};
    adam_update<T>(where, rows, g, rule, first, second, weight);
  });
  check_update<T>("row-wise", [](auto where, const Index* rows, Matrix<const T> g, const A* rates, auto, auto,
                                 Matrix<T> weight) { rowwise_update<T>(where, rows, g, rates, weight); });
  for (const MomentumRule<T> rule :
       {MomentumRule<T>{A(0.3), A(0.9), A(0.7), A(0.01), false}, MomentumRule<T>{A(0.3), A(0.9), A(1), A(0), true},
        MomentumRule<T>{A(0.3), A(0), A(1), A(0.2), false}}) {
    check_update<T>("momentum", [rule](auto where, const Index* rows, Matrix<const T> g, const A*, Matrix<A> first,
                                       auto, Matrix<T> weight) {
      if (rows != nullptr || g.stride != g.columns || weight.stride != g.columns) return;
      momentum_update<T>(where, g.data, g.rows * g.columns, rule, first.data, weight.data);
    });
  }
}

TEMPLATE_TEST_CASE("norms of rows and leaves are the CPU's on a CUDA device", "[kernels][cuda]", float, double,
                   bfloat16, half) {
  using T = TestType;
  const std::vector<Index> rows{5, 0, 6, 2};
  const auto rows_there = there(rows);
  for (const Index columns : {0, 1, 5, 31, 32, 33, 64, 100, 1024, 1100}) {
    Storage<T> table{8, columns, 1, 2};
    if (columns > 4) table.view().row(6)[3] = std::numeric_limits<T>::quiet_NaN();
    const CudaStorage<T> table_there(table);
    const Index leaves = (columns + 31) / 32;
    for (const double power : {1.0, 2.0, 2.5, std::numeric_limits<double>::infinity()}) {
      std::vector<double> sums(4), by_leaves(4 * leaves);
      row_power_sums(Cpu{}, table.read(), rows.data(), 4, power, sums.data());
      leaf_power_sums(Cpu{}, table.read(), rows.data(), 4, power, by_leaves.data());
      auto sums_there = there(sums), leaves_there = there(by_leaves);
      on(gpu(), [&](auto where) {
        const Index* named = std::as_const(rows_there).data();
        row_power_sums(where, table_there.read(), named, 4, power, sums_there.data());
        leaf_power_sums(where, table_there.read(), named, 4, power, leaves_there.data());
      });
      INFO("columns " << columns << " power " << power);
      if (power == 2.5) {  // pow() differs in its last bit
        const auto sums_back = back(sums_there), leaves_back = back(leaves_there);
        const auto same = [](double a, double b) {
          return (std::isnan(a) && std::isnan(b)) || a == b || close(a, b, 1e-14);
        };
        REQUIRE(std::equal(sums.begin(), sums.end(), sums_back.begin(), same));
        REQUIRE(std::equal(by_leaves.begin(), by_leaves.end(), leaves_back.begin(), same));
      } else {
        REQUIRE(same_bits(back(sums_there), sums));
        REQUIRE(same_bits(back(leaves_there), by_leaves));
      }
    }
    std::vector<double> squares(8), by_leaves(8 * leaves);
    row_squares(Cpu{}, table.read(), squares.data());
    leaf_squares(Cpu{}, table.read(), by_leaves.data());
    Tensor<double> squares_there(Shape{8}, gpu()), leaves_there(Shape{8 * leaves}, gpu());
    on(gpu(), [&](auto where) {
      row_squares(where, table_there.read(), squares_there.data());
      leaf_squares(where, table_there.read(), leaves_there.data());
    });
    REQUIRE(same_bits(back(squares_there), squares));
    REQUIRE(same_bits(back(leaves_there), by_leaves));
  }
}

TEMPLATE_TEST_CASE("rows shrink to max_norm on a CUDA device as on the CPU", "[kernels][cuda]", float, double, bfloat16,
                   half) {
  using T = TestType;
  const std::vector<Index> rows{5, 0, 6};
  const auto rows_there = there(rows);
  for (const double power : {1.0, 2.0, std::numeric_limits<double>::infinity()}) {
    Storage<T> table{8, 37, 1, 2};
    CudaStorage<T> table_there(table);
    std::vector<double> norms{0.25, 1.0, 900.0};
    auto norms_there = there(norms);
    norm_factors(Cpu{}, norms.data(), 3, power, 1.0);
    CHECK(norms[0] == 1);
    CHECK(norms[2] < 0.04);
    scale_rows(Cpu{}, rows.data(), 3, norms.data(), table.view());
    on(gpu(), [&](auto where) {
      norm_factors(where, norms_there.data(), 3, power, 1.0);
      scale_rows(where, std::as_const(rows_there).data(), 3, std::as_const(norms_there).data(), table_there.view());
    });
    REQUIRE(same_bits(back(norms_there), norms));
    REQUIRE(table_there == table);
  }
}

}  // namespace
}  // namespace tartan::kernels
