// Batches of matrix products, of matrices that lie side by side in others.

#include "kernels/batched_matmul.hpp"

#include "rounded.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

template <class T>
void check_batch(Device device, Index count, Index m, Index n, Index k, Transposed transposed, bool accumulate) {
  const bool left = transposed == Transposed::left, right = transposed == Transposed::right;
  // Matrix i of a batch has the columns from i · columns on.
  const auto batch = [&](auto* data, Index rows, Index columns) {
    using Element = std::remove_pointer_t<decltype(data)>;
    return Batch<Element>{data, count, columns, rows, columns, count * columns};
  };
  const auto a = drawn<T>(count * m * k, 1), b = drawn<T>(count * k * n, 2), c = drawn<T>(count * m * n, 3);
  const auto a_there = put_on(device, a), b_there = put_on(device, b);
  auto out = put_on(device, c);
  const auto as = batch(a_there.data(), left ? k : m, left ? m : k);
  const auto bs = batch(b_there.data(), right ? n : k, right ? k : n);
  on(device, [&](auto where) { batched_matmul<T>(where, as, bs, transposed, accumulate, batch(out.data(), m, n)); });
  std::vector<double> expected(c.size());
  const auto result = brought_back(out);
  bool near = true;
  for (Index i = 0; i < count; ++i) {
    for (Index r = 0; r < m; ++r) {
      for (Index s = 0; s < n; ++s) {
        const Index place = r * count * n + i * n + s;
        double sum = accumulate ? at(c, place) : 0;
        for (Index t = 0; t < k; ++t) {
          const double x = at(a, left ? t * count * m + i * m + r : r * count * k + i * k + t);
          const double y = at(b, right ? s * count * k + i * k + t : t * count * n + i * n + s);
          sum += x * y;
        }
        near =
            near && std::abs(at(result, place) - sum) <= 50 * std::numeric_limits<T>::epsilon() * (1 + std::abs(sum));
      }
    }
  }
  INFO(count << " products " << m << " x " << n << " by sums of " << k);
  CHECK(near);
}

TEMPLATE_TEST_CASE("batches of products on every device", "[kernels]", float, double) {
  for (const auto device : devices()) {
    for (const auto transposed : {Transposed::none, Transposed::left, Transposed::right}) {
      for (const bool accumulate : {false, true}) {
        for (const Index count : {0, 1, 3}) {
          check_batch<TestType>(device, count, 5, 7, 4, transposed, accumulate);
          check_batch<TestType>(device, count, 1, 1, 0, transposed, accumulate);
          check_batch<TestType>(device, count, 0, 3, 2, transposed, accumulate);
        }
      }
    }
  }
}

}  // namespace
}  // namespace tartan::kernels
