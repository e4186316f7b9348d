// gelu, its tanh form and silu against their definitions.

#include "kernels/smooth_activations.hpp"

#include "rounded.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

constexpr double pi = 3.14159265358979323846;

double meaning(Activation f, double x) {
  switch (f) {
    case Activation::gelu:
      return x / 2 * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
    case Activation::silu:
      return x / (1 + std::exp(-x));
  }
  return 0;
}

double slope(Activation f, double x) {
  const double h = 1e-5;
  return (meaning(f, x + h) - meaning(f, x - h)) / (2 * h);
}

TEMPLATE_TEST_CASE("smooth activations and their gradients on every device", "[kernels]", float, double, bfloat16,
                   half) {
  using T = TestType;
  for (const auto device : devices()) {
    for (const auto f : {Activation::gelu, Activation::gelu_tanh, Activation::silu}) {
      for (const Index n : {0, 1, 7, 1030}) {
        const auto x = drawn<T>(n, 1, 2);
        const auto g = drawn<T>(n, 2);
        auto there = put_on(device, x);
        const auto upstream = put_on(device, g);
        Tensor<T> out(Shape{n}, device);
        std::vector<double> values, gradients;
        for (Index i = 0; i < n; ++i) {
          values.push_back(meaning(f, at(x, i)));
          gradients.push_back(slope(f, at(x, i)) * at(g, i));
        }
        on(device, [&](auto where) { activate(where, f, there.data(), n, out.data()); });
        check_rounded(brought_back(out), values);
        on(device, [&](auto where) { activate_backward(where, f, there.data(), upstream.data(), n, there.data()); });
        check_rounded(brought_back(there), gradients, 1e-9);
      }
    }
  }
}

TEST_CASE("smooth activations far from 0", "[kernels]") {
  const double none = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> x{-1.7e308, -1e160, -1e30, -50, 50, 1e30, 1e160, 1.7e308, none};
  const Index n = std::ssize(x);
  for (const auto device : devices()) {
    for (const auto f : {Activation::gelu, Activation::gelu_tanh, Activation::silu}) {
      const auto there = put_on(device, x);
      const auto ones = put_on(device, std::vector<double>(x.size(), 1));
      Tensor<double> values(Shape{n}, device), slopes(Shape{n}, device);
      on(device, [&](auto where) {
        activate(where, f, there.data(), n, values.data());
        activate_backward(where, f, there.data(), ones.data(), n, slopes.data());
      });
      const auto y = brought_back(values);
      const auto d = brought_back(slopes);
      for (std::size_t i = 0; i < 8; ++i) {
        INFO(x[i]);
        if (x[i] > 0) {
          CHECK(y[i] == x[i]);
          CHECK(d[i] == 1);
        } else {
          CHECK(std::abs(y[i]) < 1e-18);
          CHECK(std::abs(d[i]) < 1e-18);
        }
      }
      CHECK(std::isnan(y[8]));
      CHECK(std::isnan(d[8]));
    }
  }
}

}  // namespace
}  // namespace tartan::kernels
