// Optimisers of bfloat16 and half parameters: steps in float with state in float, rounded once, on every grid.

#include <numeric>

#include <tartan/autograd/activations.hpp>
#include <tartan/nn/linear.hpp>
#include <tartan/optim/optimizer.hpp>

#include "nn/oracle.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index rows = 7;
constexpr Index columns = 35;

template <class To, class From>
std::vector<To> as(const std::vector<From>& values) {
  std::vector<To> result;
  for (const From x : values) result.push_back(static_cast<To>(x));
  return result;
}

template <class T>
DistributedTensor<T> placed(const Distribution& d, const std::vector<T>& whole) {
  return DistributedTensor<T>::from_function(
      d, [&](std::span<const Index> index) { return whole[static_cast<std::size_t>(d.shape().flat(index))]; });
}

/// Normal numbers that T has.
template <class T>
std::vector<float> normals(Index count, int seed) {
  const RandomStream stream(static_cast<std::uint64_t>(seed), "normals");
  std::vector<float> values;
  for (Index i = 0; i < count; ++i) values.push_back(static_cast<float>(T(stream.normal(i))));
  return values;
}

/// A step whose gradient has these numbers: of all elements, or row-sparse and of the rows `ids`.
template <class Optimizer, class T>
void step(Optimizer& optimizer, const Variable<T>& w, const std::vector<Index>& ids,
          const std::vector<float>& numbers) {
  const auto gradient = as<T>(numbers);
  GradientTape tape;
  if (ids.empty()) {
    tape.backward(sum(w * Variable<T>(placed(w.distribution(), gradient))));
  } else {
    const Distribution batch(w.topology(), {std::ssize(ids)}, {Replicate{}, Replicate{}});
    tape.backward(loss_of(functional::embedding(placed_ids<Index>(batch, ids), w, {.sparse = true}), gradient));
  }
  REQUIRE(std::holds_alternative<RowSparse<T>>(w.gradient()) == !ids.empty());
  optimizer.step();
  optimizer.clear_gradients();
}

/// Collective. Steps from the same weights with the same gradients: those of T are those of float, rounded.
template <template <class> class Optimizer, class T, class Options>
void check_steps(const Options& options, bool takes_sparse = true) {
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const bool sparse : {false, true}) {
      if (sparse && !takes_sparse) continue;
      for (const auto& placements : {Placements{Shard{0}, Shard{1}}, Placements{Replicate{}, Shard{0}}}) {
        const Distribution d(topology, Shape{rows, columns}, placements);
        auto expected = as<T>(normals<T>(rows * columns, 1));
        const auto w = Variable<T>::parameter("w", placed(d, expected));
        auto wide = Variable<float>::parameter("w", placed(d, as<float>(expected)));
        Optimizer<T> optimizer({w}, options);
        Optimizer<float> of_floats({wide}, options);
        for (const int seed : {2, 3, 4}) {
          const auto ids = sparse ? std::vector<Index>{5, 0, seed} : std::vector<Index>{};
          const auto gradient = normals<T>((sparse ? std::ssize(ids) : rows) * columns, seed);
          wide.assign(placed(d, as<float>(expected)));
          step(optimizer, w, ids, gradient);
          step(of_floats, wide, ids, gradient);
          const auto stepped = wide.value().full_tensor();
          expected = as<T>(std::vector<float>(stepped.span().begin(), stepped.span().end()));
          INFO("grid " << grid.to_string() << ", " << d.to_string() << (sparse ? ", row-sparse" : ""));
          REQUIRE(same_bits(w.value(), expected));
        }
      }
    }
  }
}

/// Collective. The losses of a network of two layers, the first split by `out`, the second by `in`, that learns whether
/// the product of two numbers is positive.
template <class T>
std::vector<double> losses_of_training(const CartesianTopology& topology) {
  const DistributedLinear<T> up(
      topology,
      {.name = "up", .in_features = 2, .out_features = 24, .seed = 5, .axes = LinearAxes{.data = 0, .out = 1}});
  const DistributedLinear<T> down(
      topology,
      {.name = "down", .in_features = 24, .out_features = 1, .seed = 6, .axes = LinearAxes{.data = 0, .in = 1}});
  auto parameters = up.parameters();
  for (const auto& parameter : down.parameters()) parameters.push_back(parameter);
  Adam<T> adam(parameters, {.learning_rate = 0.05});
  const auto points = normals<bfloat16>(128, 9);
  std::vector<float> labels;
  for (std::size_t i = 0; i < 64; ++i) labels.push_back(points[2 * i] * points[2 * i + 1] > 0 ? 1 : 0);
  std::vector<double> losses;
  for (int n = 0; n < 60; ++n) {
    GradientTape tape;
    const auto y = down(relu(up(placed(up.input_distribution({64, 2}), as<T>(points)))));
    const auto loss = binary_cross_entropy_with_logits(y, placed(y.distribution(), as<T>(labels)));
    const auto whole = redistribute(loss.value(), Replicate{}).full_tensor();
    losses.push_back(static_cast<double>(whole[0]));
    tape.backward(loss);
    adam.step();
    adam.clear_gradients();
  }
  return losses;
}

}  // namespace

TEMPLATE_TEST_CASE("steps of half parameters are those of floats, rounded at the end", "", bfloat16, half) {
  using T = TestType;
  check_steps<Sgd, T>(SgdOptions{.learning_rate = 0.1});
  check_steps<Sgd, T>(SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.01}, false);
  check_steps<Sgd, T>(SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true}, false);
  check_steps<Adagrad, T>(AdagradOptions{.learning_rate = 0.1, .epsilon = 1e-6, .initial_accumulator = 0.01});
  check_steps<RowwiseAdagrad, T>(AdagradOptions{.learning_rate = 0.1, .epsilon = 1e-6});
  check_steps<Adam, T>(AdamOptions{.learning_rate = 0.1});
}

TEMPLATE_TEST_CASE("a state that half types could not hold goes on growing", "", bfloat16, half) {
  using T = TestType;
  const auto topology = Partition(world()).cartesian({world().size()});
  const Distribution d(topology, Shape{7}, {Shard{0}});
  const auto w = Variable<T>::parameter("w", DistributedTensor<T>::zeros(d));
  Adagrad<T> optimizer({w}, {.learning_rate = 1e-3});
  for (int n = 0; n < 600; ++n) {
    GradientTape tape;
    tape.backward(sum(w));
    optimizer.step();
    optimizer.clear_gradients();
  }
  const auto sums = optimizer.sums()[0].local_on_host();
  for (const float s : sums.span()) CHECK(s == 600.0F);
}

TEMPLATE_TEST_CASE("a network of half numbers learns as one of floats does", "", bfloat16, half) {
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    const auto losses = losses_of_training<TestType>(topology);
    const auto of_floats = losses_of_training<float>(topology);
    INFO("grid " << grid.to_string() << ": from " << losses.front() << " to " << losses.back() << ", of floats "
                 << of_floats.back());
    const double unit = static_cast<double>(std::numeric_limits<TestType>::epsilon());
    CHECK(std::abs(losses.front() - of_floats.front()) <= 2 * unit);
    CHECK(losses.back() < 0.2 * losses.front());
    CHECK(std::abs(losses.back() - of_floats.back()) < 0.05);
  }
}

}  // namespace tartan
