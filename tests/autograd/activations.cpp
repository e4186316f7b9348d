// Activations in every placement but Partial against plain loops on whole arrays.

#include <tartan/autograd/activations.hpp>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

Operation elementwise(std::string name, std::function<Variable<double>(const Inputs&)> apply,
                      double (*meaning)(double)) {
  return {std::move(name),
          {{3, 5}},
          std::move(apply),
          [meaning](const std::vector<Flat>& x) {
            Flat out;
            for (const double value : x[0]) out.push_back(meaning(value));
            return out;
          },
          Order::other,
          0.125};
}

TEST_CASE("relu in any placement but Partial: positive numbers and their gradients pass, nothing else does") {
  const auto input = flat({3, 5}, numbers_of(0));  // with a 0 in it
  auto value = input;
  auto gradient = flat({3, 5}, upstream_numbers);
  for (std::size_t i = 0; i < input.size(); ++i) {
    if (input[i] <= 0) value[i] = gradient[i] = 0;
  }
  for (const auto& partition : partitions()) {
    Batch batch;
    SameTexts texts;
    for (const auto& topology : topologies(partition)) {
      for (const auto& placements : all_placements(topology.grid().axes(), 2)) {
        const Distribution d(topology, {3, 5}, placements);
        const auto x = Variable<double>::parameter("x", tensor(d, numbers_of(0)));
        if (d.any(Placement::Kind::partial)) {
          const auto text = texts.of([&] { relu(x); });
          CHECK(contains(text, d.to_string()));
          CHECK(contains(text, "redistribute(x, " + to_string(d.gradient().placements()) + ")"));
          continue;
        }
        GradientTape tape;
        const auto y = relu(x);
        CHECK(y.distribution() == d);
        check_logical(y.value(), value, 0, "value", batch);
        tape.backward(loss_of(y));
        CHECK(x.dense_gradient().distribution() == d);
        check_logical(x.dense_gradient(), gradient, 0, "gradient", batch);
      }
    }
    texts.verify();
    batch.verify();
  }
}

TEST_CASE("relu keeps NaN") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto x = DistributedTensor<float>::constant({topology, {3}, {Replicate{}}}, NAN);
  const auto y = relu(Variable<float>(x));
  const auto local = y.value().local_on_host();
  for (const float value : local.span()) CHECK(std::isnan(value));
}

TEST_CASE("gelu, its tanh form and silu in any placement but Partial") {
  const std::vector<Operation> operations{
      elementwise(
          "gelu", [](const Inputs& x) { return gelu(x[0]); },
          [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }),
      elementwise(
          "gelu, tanh", [](const Inputs& x) { return gelu(x[0], GeluForm::tanh); },
          [](double x) {
            return x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
          }),
      elementwise(
          "silu", [](const Inputs& x) { return silu(x[0]); }, [](double x) { return x / (1 + std::exp(-x)); })};
  for (const auto& operation : operations) {
    for (const auto& partition : partitions()) check_single(operation, partition, false);
  }
}

TEST_CASE("activations of no elements") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto x = Variable<float>::parameter("x", DistributedTensor<float>::zeros({topology, {0, 4}, {Shard{1}}}));
  GradientTape tape;
  tape.backward(sum(silu(gelu(x))));
  CHECK(x.dense_gradient().local().elements() == 0);
}

}  // namespace
}  // namespace tartan
