// The pieces of LayerNorm and RMSNorm, on whole rows and on rows in parts.

#include "kernels/normalization.hpp"

#include "rounded.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

constexpr double epsilon = 0.01;

struct Expected {
  std::vector<double> y, to_x, to_weight, to_bias;
};

template <class T>
Expected meaning(const std::vector<T>& x, const std::vector<T>& w, const std::vector<T>& b, const std::vector<T>& g,
                 Index rows, bool centred) {
  const auto columns = static_cast<Index>(w.size());
  Expected e{{}, {}, std::vector<double>(w.size()), std::vector<double>(w.size())};
  for (Index i = 0; i < rows; ++i) {
    const auto all = [&](auto term) {
      double sum = 0;
      for (Index c = 0; c < columns; ++c) sum += term(c) / static_cast<double>(columns);
      return sum;
    };
    const auto value = [&](Index c) { return at(x, i * columns + c); };
    const double mean = centred ? all(value) : 0;
    const double scale = 1 / std::sqrt(all([&](Index c) { return (value(c) - mean) * (value(c) - mean); }) + epsilon);
    const auto normal = [&](Index c) { return (value(c) - mean) * scale; };
    const auto weighted = [&](Index c) { return at(g, i * columns + c) * at(w, c); };
    const double constant = centred ? all(weighted) : 0;
    const double linear = all([&](Index c) { return weighted(c) * normal(c); });
    for (Index c = 0; c < columns; ++c) {
      const auto k = static_cast<std::size_t>(c);
      e.y.push_back(normal(c) * at(w, c) + at(b, c));
      e.to_x.push_back((weighted(c) - constant - normal(c) * linear) * scale);
      e.to_weight[k] += at(g, i * columns + c) * normal(c);
      e.to_bias[k] += at(g, i * columns + c);
    }
  }
  return e;
}

template <class T>
void check_normalization(Device device, Index rows, Index columns, Index parts, bool centred) {
  const Index n = rows * columns;
  const auto x = drawn<T>(n, 1), w = drawn<T>(columns, 2), b = drawn<T>(columns, 3), g = drawn<T>(n, 4);
  const auto x_there = put_on(device, x), w_there = put_on(device, w), b_there = put_on(device, b);
  auto g_there = put_on(device, g);
  Tensor<T> y(Shape{n}, device), to_weight(Shape{columns}, device), to_bias(Shape{columns}, device);
  Tensor<double> pieces(Shape{3 * parts * rows}, device), whole(Shape{3 * rows}, device), sums(Shape{2 * rows}, device);
  const auto moments = [](Tensor<double>& t) { return reinterpret_cast<Moments*>(t.data()); };
  const Matrix<const T> all{x_there.data(), rows, columns, columns};
  const Matrix<const T> upstream{std::as_const(g_there).data(), rows, columns, columns};
  const NormalizedRows<T> normal{all, moments(whole), epsilon, w_there.data()};
  on(device, [&](auto where) {
    for (Index k = 0; k < parts; ++k) {
      const Index begin = columns * k / parts;
      const Matrix<const T> part{x_there.data() + begin, rows, columns * (k + 1) / parts - begin, columns};
      row_moments(where, part, centred, moments(pieces) + k * rows);
    }
    merge_moments(where, moments(pieces), parts, rows, moments(whole));
    normalize_rows(where, normal, b_there.data(), Matrix<T>{y.data(), rows, columns, columns});
    normalization_sums(where, normal, upstream, sums.data());
    normalization_column_sums(where, normal, upstream, to_weight.data(), to_bias.data());
    normalize_rows_backward(where, normal, upstream, sums.data(), centred,
                            Matrix<T>{g_there.data(), rows, columns, columns});
  });
  INFO(rows << " rows of " << columns << " in " << parts << " parts");
  const auto expected = meaning(x, w, b, g, rows, centred);
  check_rounded(brought_back(y), expected.y, 1e-12);
  check_rounded(brought_back(g_there), expected.to_x, 1e-12);
  check_rounded(brought_back(to_weight), expected.to_weight, 1e-12);
  check_rounded(brought_back(to_bias), expected.to_bias, 1e-12);
}

TEMPLATE_TEST_CASE("normalisation of rows on every device", "[kernels]", float, double, bfloat16, half) {
  for (const auto device : devices()) {
    for (const bool centred : {true, false}) {
      check_normalization<TestType>(device, 0, 5, 1, centred);
      check_normalization<TestType>(device, 3, 0, 2, centred);
      check_normalization<TestType>(device, 3, 1, 1, centred);
      check_normalization<TestType>(device, 5, 33, 1, centred);
      check_normalization<TestType>(device, 2, 3, 5, centred);
      check_normalization<TestType>(device, 70, 40, 3, centred);
    }
  }
}

TEST_CASE("normalisation without a weight and a bias, and one of their gradients only", "[kernels]") {
  for (const auto device : devices()) {
    const auto x = put_on(device, std::vector<double>{1, 3, 5, 7});
    const auto g = put_on(device, std::vector<double>{1, 0, 2, 4});
    Tensor<double> numbers(Shape{6}, device), y(Shape{4}, device), bias(Shape{2}, device);
    auto* const moments = reinterpret_cast<Moments*>(numbers.data());
    const Matrix<const double> rows{x.data(), 2, 2, 2};
    on(device, [&](auto where) {
      row_moments(where, rows, true, moments);
      normalize_rows<double>(where, {rows, moments, 0, nullptr}, nullptr, {y.data(), 2, 2, 2});
      normalization_column_sums<double>(where, {rows, moments, 0, nullptr}, {g.data(), 2, 2, 2}, nullptr, bias.data());
    });
    CHECK(brought_back(y) == std::vector<double>{-1, 1, -1, 1});
    CHECK(brought_back(bias) == std::vector<double>{3, 4});
  }
}

}  // namespace
}  // namespace tartan::kernels
