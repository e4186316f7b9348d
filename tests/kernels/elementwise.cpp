#include "kernels/elementwise.hpp"

#include <limits>

#include "kernels/activations.hpp"
#include "storage.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

/// The tree of kernels/sum_tree.hpp, word by word.
double tree_sum(std::vector<double> terms) {
  std::vector<double> sums;
  for (std::size_t begin = 0; begin == 0 || begin < terms.size(); begin += 4096) {
    std::vector<double> lanes(256);
    for (std::size_t i = begin; i < std::min(begin + 4096, terms.size()); ++i) lanes[(i - begin) % 256] += terms[i];
    for (std::size_t half = 128; half > 0; half /= 2) {
      for (std::size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
    }
    sums.push_back(lanes[0]);
  }
  return sums.size() == 1 ? sums[0] : tree_sum(sums);
}

TEMPLATE_TEST_CASE("the sum of elements, by its tree", "[kernels]", float, double, bfloat16, half) {
  for (const Index n : {0, 1, 2, 255, 256, 257, 4095, 4096, 4097, 10'007, 300'000}) {
    const Storage<TestType> a(1, n);
    const auto* data = a.read().data;
    TestType result(7);
    sum(Cpu{}, data, n, &result);
    INFO("n " << n);
    const Storage<TestType> b(1, n, 0, 0, 2);
    std::vector<double> terms, products;
    for (Index i = 0; i < n; ++i) {
      terms.push_back(static_cast<double>(data[i]));
      products.push_back(static_cast<double>(data[i]) * static_cast<double>(b.read().data[i]));
    }
    CHECK(result == static_cast<TestType>(tree_sum(terms)));
    double product = 7;
    inner_product(Cpu{}, data, b.read().data, n, &product);
    CHECK(product == tree_sum(products));
  }
  TestType nothing = -TestType{0}, result(7);
  sum(Cpu{}, &nothing, 1, &result);
  CHECK(same_bits(result, TestType{0}));
}

TEMPLATE_TEST_CASE("element-wise kernels, out of place and in place", "[kernels]", float, double, bfloat16, half) {
  for (const Index n : {0, 1, 7, 64, 1001}) {
    const Storage<TestType> a(1, n, 0, 0, 1), b(1, n, 0, 0, 2);
    const auto check = [&](auto run, auto expected) {
      Storage<TestType> out(1, n + 1, 0, 1, 3), in_place = a;
      const auto beyond = out.read().data[n];
      run(a.read().data, out.view().data);
      run(in_place.read().data, in_place.view().data);
      bool right = out.read().data[n] == beyond;
      for (Index i = 0; i < n; ++i) {
        const TestType value = expected(a.read().data[i], b.read().data[i]);
        right = right && same_bits(out.read().data[i], value) && same_bits(in_place.read().data[i], value);
      }
      CHECK(right);
    };
    using T = TestType;
    const T* y = b.read().data;
    const T* const first = n > 0 ? y : nullptr;
    check([&](const T*, T* out) { fill(Cpu{}, out, n, T(0.3)); }, [](T, T) { return T(0.3); });
    check([&](const T*, T* out) { repeat(Cpu{}, first, n, out); }, [&](T, T) { return *first; });
    check([&](const T* x, T* out) { add(Cpu{}, x, y, n, out); }, [](T p, T q) { return p + q; });
    check([&](const T* x, T* out) { multiply(Cpu{}, x, y, n, out); }, [](T p, T q) { return p * q; });
    const auto factor = static_cast<Accumulator<T>>(0.3);
    check([&](const T* x, T* out) { scale(Cpu{}, x, factor, n, out); },
          [&](T p, T) { return static_cast<T>(factor * static_cast<Accumulator<T>>(p)); });
    check([&](const T* x, T* out) { relu(Cpu{}, x, n, out); }, [](T p, T) { return p > 0 ? p : T{}; });
    check([&](const T* x, T* out) { relu_backward(Cpu{}, y, x, n, out); }, [](T p, T q) { return q > 0 ? p : T{}; });
  }
  const TestType nan = std::numeric_limits<TestType>::quiet_NaN(), one(1);
  TestType out(7);
  relu(Cpu{}, &nan, 1, &out);
  CHECK(std::isnan(static_cast<double>(out)));
  relu_backward(Cpu{}, &nan, &one, 1, &out);
  CHECK(out == 1);
}

TEST_CASE("every element type can be filled", "[kernels]") {
  std::vector<std::int32_t> a(9);
  std::vector<std::int64_t> b(9);
  fill(Cpu{}, a.data(), 8, 5);
  fill(Cpu{}, b.data(), 8, std::int64_t{1} << 40);
  CHECK(a == std::vector<std::int32_t>{5, 5, 5, 5, 5, 5, 5, 5, 0});
  CHECK(b ==
        std::vector<std::int64_t>{1L << 40, 1L << 40, 1L << 40, 1L << 40, 1L << 40, 1L << 40, 1L << 40, 1L << 40, 0});
}

}  // namespace
}  // namespace tartan::kernels
