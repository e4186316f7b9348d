// The squared error and its gradient.

#include "kernels/squared_error.hpp"

#include "rounded.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

TEMPLATE_TEST_CASE("the squared error and its gradient on every device", "[kernels]", float, double, bfloat16, half) {
  using T = TestType;
  for (const auto device : devices()) {
    for (const Index n : {0, 1, 5, 300, 5000}) {
      const auto x = drawn<T>(n, 1), y = drawn<T>(n, 2);
      auto x_there = put_on(device, x);
      const auto y_there = put_on(device, y);
      const auto upstream = put_on(device, std::vector<T>{static_cast<T>(1.5)});
      Tensor<T> sum(Shape{1}, device);
      on(device, [&](auto where) {
        squared_error_sum(where, x_there.data(), y_there.data(), n, 0.25, sum.data());
        squared_error_backward(where, x_there.data(), y_there.data(), 0.25, upstream.data(), n, x_there.data());
      });
      double expected = 0;
      std::vector<double> gradient;
      for (Index i = 0; i < n; ++i) {
        const double difference = at(x, i) - at(y, i);
        expected += 0.25 * difference * difference;
        gradient.push_back(2 * 0.25 * 1.5 * difference);
      }
      check_rounded(brought_back(sum), {expected});
      check_rounded(brought_back(x_there), gradient);
    }
  }
}

}  // namespace
}  // namespace tartan::kernels
