// Element-wise kernels, sums, losses and matrix products on a CUDA device against those of the CPU.

#include "kernels/elementwise.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cuda_memory.hpp"
#include "kernels/activations.hpp"
#include "kernels/losses.hpp"
#include "kernels/matmul.hpp"
#include "storage.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

template <class T>
std::vector<T> numbers(Index count, std::uint64_t seed) {
  std::mt19937_64 random{seed};
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = draw<T>(random);
  return values;
}

/// kernel(where, a, b, out) leaves the same bits in `outputs` numbers on both devices, and none beside them. Some of a
/// are -0.0 or NaN; a, b and out begin `offset` elements after aligned memory.
template <class T, class Kernel>
void check_both(const char* name, Index inputs, Index outputs, Index offset, Kernel kernel) {
  auto a = numbers<T>(inputs + offset, 1), b = numbers<T>(inputs + offset, 2),
       out = numbers<T>(outputs + offset + 1, 3);
  for (std::size_t i = 0; i < a.size(); i += 5) a[i] = i % 2 == 0 ? T(-0.0) : std::numeric_limits<T>::quiet_NaN();
  auto a_there = there(a), b_there = there(b), out_there = there(out);
  kernel(Cpu{}, a.data() + offset, b.data() + offset, out.data() + offset);
  on(gpu(),
     [&](auto where) { kernel(where, a_there.data() + offset, b_there.data() + offset, out_there.data() + offset); });
  INFO(name << " of " << inputs << " elements, " << offset << " beside a line");
  const auto result = back(out_there);
  // Devices give NaNs of different bits.
  CHECK(std::ranges::equal(result, out, [](T x, T y) { return same_bits(x, y) || (x != x && y != y); }));
}

TEMPLATE_TEST_CASE("element-wise kernels have the CPU's bits on a CUDA device", "[kernels]", float, double, bfloat16,
                   half) {
  using T = TestType;
  const auto factor = static_cast<Accumulator<T>>(0.3);
  for (const Index n : {0, 1, 3, 4, 5, 1023, 5000}) {
    for (const Index offset : {0, 1}) {
      const auto check = [&](const char* name, auto kernel) { check_both<T>(name, n, n, offset, kernel); };
      check("fill", [=](auto where, auto, auto, T* out) { fill(where, out, n, T(0.3)); });
      check("add", [=](auto where, const T* a, const T* b, T* out) { add(where, a, b, n, out); });
      check("multiply", [=](auto where, const T* a, const T* b, T* out) { multiply(where, a, b, n, out); });
      check("scale", [=](auto where, const T* a, auto, T* out) { scale(where, a, factor, n, out); });
      check("relu", [=](auto where, const T* a, auto, T* out) { relu(where, a, n, out); });
      check("relu, backward", [=](auto where, const T* a, const T* b, T* out) { relu_backward(where, a, b, n, out); });
      if (n == 0) continue;
      check("repeat", [=](auto where, auto, const T* b, T* out) { repeat(where, b, n, out); });
      check("cross-entropy, backward", [=](auto where, const T* a, const T* b, T* out) {
        binary_cross_entropy_backward(where, a, b, factor, b, n, out);
      });
    }
  }
}

TEST_CASE("integers are filled on a CUDA device", "[kernels]") {
  auto ids = there(std::vector<std::int32_t>(9));
  auto long_ids = there(std::vector<std::int64_t>(9));
  on(gpu(), [&](auto where) {
    fill(where, ids.data(), 8, 5);
    fill(where, long_ids.data(), 8, std::int64_t{1} << 40);
  });
  CHECK(back(ids) == std::vector<std::int32_t>{5, 5, 5, 5, 5, 5, 5, 5, 0});
  std::vector<std::int64_t> expected(9, std::int64_t{1} << 40);
  expected.back() = 0;
  CHECK(back(long_ids) == expected);
}

TEMPLATE_TEST_CASE("sums have the CPU's bits on a CUDA device", "[kernels]", float, double, bfloat16, half) {
  using T = TestType;
  for (const Index n : {0, 1, 255, 256, 257, 4096, 4097, 70'000}) {
    check_both<T>("sum", n, 1, 1, [=](auto where, auto, const T* b, T* out) { sum(where, b, n, out); });
    check_both<T>("cross-entropy", n, 1, 1, [=](auto where, const T*, const T* b, T* out) {
      binary_cross_entropy_sum(where, b, b, n, 0.7, out);
    });
    check_both<double>("inner product", n, 1, 1, [=](auto where, const double*, const double* b, double* out) {
      inner_product(where, b, b, n, out);
    });
  }
}

TEMPLATE_TEST_CASE("rows and columns of matrices have the CPU's bits on a CUDA device", "[kernels]", float, double,
                   bfloat16, half) {
  using T = TestType;
  for (const Index rows : {0, 1, 31, 32, 33, 1100}) {
    for (const Index columns : {0, 1, 9, 70}) {
      const Index stride = columns + 2;
      check_both<T>("column sums", rows * stride, columns, 1, [=](auto where, auto, const T* b, T* out) {
        column_sums(where, Matrix<const T>{b, rows, columns, stride}, out);
      });
      check_both<T>("a row added to rows", std::max(rows * stride, columns), rows * stride, 1,
                    [=](auto where, auto, const T* b, T* out) {
                      add_to_rows(where, b, Matrix<T>{out, rows, columns, stride});
                    });
    }
  }
}

/// Products on the device are close to sums in double, and write nothing beside them.
template <class T>
void check_products(Index m, Index n, Index k, Index gap) {
  const Storage<T> a(m, k, gap, 1, 1), a_t(k, m, gap, 0, 2), b(k, n, gap, 3, 3), b_t(n, k, gap, 1, 4);
  const auto check = [&](const char* name, auto multiply, const Storage<T>& left, const Storage<T>& right, auto x,
                         auto y) {
    INFO(name << " " << m << " x " << n << " by sums of " << k << ", rows " << gap << " apart");
    const Storage<T> untouched(m, n, gap, 1, 5);
    const auto to_device = [](const Storage<T>& s) {
      const auto v = s.read();
      return there(std::vector<T>(v.data, v.data + v.rows * v.stride));
    };
    const auto matrix = [](Tensor<T>& t, const Storage<T>& s) {
      const auto v = s.read();
      return Matrix<T>{t.data(), v.rows, v.columns, v.stride};
    };
    const auto read = [&](Tensor<T>& t, const Storage<T>& s) {
      const auto v = matrix(t, s);
      return Matrix<const T>{v.data, v.rows, v.columns, v.stride};
    };
    auto left_there = to_device(left), right_there = to_device(right), out = to_device(untouched);
    on(gpu(),
       [&](auto where) { multiply(where, read(left_there, left), read(right_there, right), matrix(out, untouched)); });
    const auto result = back(out);
    bool near = true;
    for (Index i = 0; i < m; ++i) {
      for (Index j = 0; j < n + gap; ++j) {
        const T value = result[static_cast<std::size_t>(i * (n + gap) + j)];
        if (j >= n) {
          near = near && value == untouched.read().data[i * (n + gap) + j];
          continue;
        }
        double sum = 0, magnitude = 0;
        for (Index c = 0; c < k; ++c) {
          const double term = static_cast<double>(x(i, c)) * static_cast<double>(y(c, j));
          sum += term;
          magnitude += std::abs(term);
        }
        // Added in the accumulator, rounded to T.
        const double bound = static_cast<double>(k + 1) * std::numeric_limits<Accumulator<T>>::epsilon() * magnitude;
        near = near && T(sum - bound) <= value && value <= T(sum + bound);
      }
    }
    CHECK(near);
  };
  const auto at = [](const Storage<T>& s) { return [&s](Index i, Index j) { return s.read().row(i)[j]; }; };
  const auto turned = [](const Storage<T>& s) { return [&s](Index i, Index j) { return s.read().row(j)[i]; }; };
  using Read = Matrix<const T>;
  check(
      "a·b", [](auto where, Read x, Read y, Matrix<T> out) { matmul(where, x, y, out); }, a, b, at(a), at(b));
  check(
      "a·bT", [](auto where, Read x, Read y, Matrix<T> out) { matmul_transposed_right(where, x, y, out); }, a, b_t,
      at(a), turned(b_t));
  check(
      "aT·b", [](auto where, Read x, Read y, Matrix<T> out) { matmul_transposed_left(where, x, y, out); }, a_t, b,
      turned(a_t), at(b));
}

TEMPLATE_TEST_CASE("matrix products on a CUDA device", "[kernels]", float, double, bfloat16, half) {
  for (const Index m : {0, 1, 2, 33}) {
    for (const Index n : {0, 1, 3, 65}) {
      for (const Index k : {0, 1, 7, 130}) {
        for (const Index gap : {0, 3}) check_products<TestType>(m, n, k, gap);
      }
    }
  }
}

}  // namespace
}  // namespace tartan::kernels
