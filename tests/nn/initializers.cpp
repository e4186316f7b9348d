// Initialisers: moments and bounds against their formulas, the same bits on every grid, and what they refuse.

#include <tartan/nn/initializers.hpp>
#include <tartan/nn/linear.hpp>

#include "autograd/check_placements.hpp"
#include "nn/oracle.hpp"

namespace tartan {
namespace {

using namespace testing;
namespace init = initializers;

struct Moments {
  double mean = 0, deviation = 0, least = 0, greatest = 0;
};

constexpr Index samples = 40000;

Moments moments(const Initializer& initial) {
  const RandomStream stream(11, "moments");
  Moments m{.least = initial(stream, 0), .greatest = initial(stream, 0)};
  double squares = 0;
  for (Index i = 0; i < samples; ++i) {
    const double x = initial(stream, i);
    m.mean += x / samples;
    squares += x * x / samples;
    m.least = std::min(m.least, x);
    m.greatest = std::max(m.greatest, x);
  }
  m.deviation = std::sqrt(squares - m.mean * m.mean);
  return m;
}

/// Within five standard errors.
void check_moments(const Moments& found, double mean, double deviation) {
  CHECK(std::abs(found.mean - mean) < 5 * deviation / std::sqrt(double{samples}));
  CHECK(found.deviation == Approx(deviation).epsilon(0.02));
}

void check_uniform(const Initializer& initial, double bound) {
  const auto found = moments(initial);
  check_moments(found, 0, bound / std::sqrt(3.0));
  CHECK(found.least >= -bound);
  CHECK(found.greatest <= bound);
  CHECK(found.least < -0.999 * bound);
  CHECK(found.greatest > 0.999 * bound);
}

TEST_CASE("fans and gains are PyTorch's") {
  const auto fans = init::fans_of({6, 10, 3, 2});
  CHECK(fans.in == 60);
  CHECK(fans.out == 36);
  using N = init::Nonlinearity;
  CHECK(init::gain(N::linear) == 1);
  CHECK(init::gain(N::sigmoid) == 1);
  CHECK(init::gain(N::tanh) == 5.0 / 3);
  CHECK(init::gain(N::relu) == std::sqrt(2.0));
  CHECK(init::gain(N::leaky_relu) == std::sqrt(2 / 1.0001));
  CHECK(init::gain(N::leaky_relu, 2) == std::sqrt(0.4));
  CHECK(init::gain(N::selu) == 0.75);
}

TEST_CASE("xavier and kaiming have the deviations of their formulas") {
  const Shape weight{600, 400};
  check_uniform(init::xavier_uniform(weight), std::sqrt(6.0 / 1000));
  check_uniform(init::xavier_uniform(weight, 3), 3 * std::sqrt(6.0 / 1000));
  check_moments(moments(init::xavier_normal(weight)), 0, std::sqrt(2.0 / 1000));
  check_moments(moments(init::xavier_normal(weight, 3)), 0, 3 * std::sqrt(2.0 / 1000));
  check_uniform(init::kaiming_uniform(weight), std::sqrt(6.0 / 400));
  check_uniform(init::kaiming_uniform(weight, {.fan = init::Fan::out, .gain = 1}), std::sqrt(3.0 / 600));
  check_moments(moments(init::kaiming_normal(weight)), 0, std::sqrt(2.0 / 400));
  check_moments(moments(init::kaiming_normal(weight, {.fan = init::Fan::out, .gain = 5})), 0, 5 / std::sqrt(600.0));
}

TEST_CASE("a truncated normal has the moments of its window") {
  const auto density = [](double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); };
  const auto below = [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; };
  for (const auto& [mean, deviation, low, high] : std::vector<std::array<double, 4>>{
           {0, 1, -2, 2}, {1, 0.5, 0.9, 3}, {0, 2, 5, 7}, {-3, 1, -9, -6.5}, {0, 1, 8, 9}}) {
    INFO(mean << " " << deviation << " " << low << " " << high);
    const auto found = moments(init::trunc_normal(mean, deviation, low, high));
    CHECK(found.least >= low);
    CHECK(found.greatest <= high);
    // Mirrored where that is exact.
    const double sign = low > mean ? -1 : 1;
    const double a = sign * ((sign > 0 ? low : high) - mean) / deviation;
    const double b = sign * ((sign > 0 ? high : low) - mean) / deviation;
    const double mass = below(b) - below(a);
    const double shift = (density(a) - density(b)) / mass;
    const double variance = 1 + (a * density(a) - b * density(b)) / mass - shift * shift;
    check_moments(found, mean + sign * deviation * shift, deviation * std::sqrt(variance));
  }
}

TEST_CASE("a truncated normal is the inverse of its distribution function") {
  const RandomStream stream(11, "quantiles");
  const auto below = [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; };
  const auto initial = init::trunc_normal(0, 1, -3, 4);
  for (Index i = 0; i < 1000; ++i) {
    const double p = below(initial(stream, i));
    CHECK(p == Approx(below(-3) + (below(4) - below(-3)) * (1 - stream.uniform(i))).epsilon(1e-13));
  }
}

TEST_CASE("initial values are the same on every grid, in a layer and in a parameter that is filled again") {
  constexpr Index out = 7;
  constexpr Index in = 5;
  const Shape weight{out, in};
  const std::vector<std::pair<std::string, Initializer>> all{
      {"xavier_uniform", init::xavier_uniform(weight)},           {"xavier_normal", init::xavier_normal(weight)},
      {"kaiming_uniform", init::kaiming_uniform(weight)},         {"kaiming_normal", init::kaiming_normal(weight)},
      {"trunc_normal", init::trunc_normal(0, 0.02, -0.04, 0.04)}, {"constant", init::constant(3)}};
  for (const auto& [label, initial] : all) {
    INFO(label);
    const auto values = [&](const std::string& name, Index count) {
      std::vector<double> result;
      const RandomStream stream(4, name);
      for (Index i = 0; i < count; ++i) result.push_back(initial(stream, i));
      return result;
    };
    for (const auto& partition : partitions()) {
      for (const auto& grid : factorisations(partition.size(), 3)) {
        const DistributedLinear<double> layer(partition.cartesian(grid),
                                              {.in_features = in,
                                               .out_features = out,
                                               .seed = 4,
                                               .axes = LinearAxes{.data = 0, .out = 1, .in = 2},
                                               .storage = Shard{0},
                                               .initial_weight = initial,
                                               .initial_bias = initial});
        CHECK(same_bits(layer.weight().value(), values("linear.weight", out * in)));
        CHECK(same_bits(layer.bias().value(), values("linear.bias", out)));
        const auto version = layer.weight().value().version();
        initialize(layer.weight(), init::normal(), 9);
        CHECK(layer.weight().value().version() > version);
        CHECK((out * in == 0 || layer.weight().value().local().elements() == 0 ||
               !same_bits(layer.weight().value(), values("linear.weight", out * in))));
        initialize(layer.weight(), initial, 4);
        CHECK(same_bits(layer.weight().value(), values("linear.weight", out * in)));
      }
    }
  }
}

TEST_CASE("PyTorch's initial values of a linear layer are kaiming_uniform's with a slope of √5") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const DistributedLinear<double> usual(topology, {.in_features = 5, .out_features = 3, .dim = 1});
  const DistributedLinear<double> said(
      topology, {.in_features = 5,
                 .out_features = 3,
                 .dim = 1,
                 .initial_weight = init::kaiming_uniform(
                     {3, 5}, {.gain = init::gain(init::Nonlinearity::leaky_relu, std::sqrt(5.0))})});
  const auto a = usual.weight().value().local_on_host();
  const auto b = said.weight().value().local_on_host();
  for (Index i = 0; i < a.elements(); ++i) CHECK(a[i] == Approx(b[i]).epsilon(1e-14));
}

TEST_CASE("initialisers refuse what has no meaning, on every rank") {
  SameTexts texts;
  CHECK(
      contains(texts.of([] { init::xavier_uniform({4}); }), "(out, in, ...) has fans, not a tensor of the shape (4)"));
  CHECK(contains(texts.of([] { init::kaiming_normal({}); }), "not a tensor of the shape ()"));
  CHECK(contains(texts.of([] { init::normal(0, -1); }), "deviation -1"));
  CHECK(contains(texts.of([] { init::normal(0, NAN); }), "deviation nan"));
  CHECK(contains(texts.of([] { init::uniform(2, 1); }), "on [2, 1]"));
  CHECK(init::normal(3, 0)(RandomStream(1, "n"), 0) == 3);
  CHECK(init::uniform(2, 2)(RandomStream(1, "u"), 0) == 2);
  CHECK(contains(texts.of([] { init::trunc_normal(0, 1, 2, 2); }), "deviation 1 on [2, 2]"));
  CHECK(contains(texts.of([] { init::trunc_normal(0, 0, -2, 2); }), "deviation 0 on [-2, 2]"));
  CHECK(contains(texts.of([] { init::trunc_normal(0, 1, 50, 60); }), "[50, 60] holds nothing"));
  const auto topology = Partition(world()).cartesian({world().size()});
  CHECK(contains(texts.of([&] {
    initialize(Variable<float>(DistributedTensor<float>::zeros({topology, {3}, {Replicate{}}})), init::constant(1));
  }),
                 "is none"));
  texts.verify();
}

}  // namespace
}  // namespace tartan
