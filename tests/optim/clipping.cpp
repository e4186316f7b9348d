// The norm of all gradients together, and what clipping by it leaves: dense and row-sparse, in every placement.

#include <tartan/optim/clipping.hpp>

#include <cmath>
#include <limits>

#include <tartan/autograd/operations.hpp>

#include "nn/options.hpp"
#include "nn/traffic.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

/// A parameter of `d` whose gradient at flat index i is i + 1.
Variable<double> with_gradient(const std::string& name, const Distribution& d) {
  auto parameter = Variable<double>::parameter(name, DistributedTensor<double>::zeros(d));
  const auto upstream = DistributedTensor<double>::from_function(
      d.gradient(), [&](std::span<const Index> i) { return static_cast<double>(d.shape().flat(i) + 1); });
  GradientTape tape;
  tape.backward(sum(parameter * Variable<double>(upstream)));
  return parameter;
}

double squares(Index n) {
  double sum = 0;
  for (Index i = 1; i <= n; ++i) sum += static_cast<double>(i * i);
  return sum;
}

TEST_CASE("the norm of gradients counts every element once, however it is placed, in one reduction") {
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    std::vector<Variable<double>> parameters;
    double expected = 0;
    for (const auto& placements : all_placements(2, 2)) {
      const Distribution d(topology, {5, 3}, placements);
      if (d.any(Placement::Kind::partial)) continue;
      parameters.push_back(with_gradient("p" + std::to_string(parameters.size()), d));
      expected += squares(15);
    }
    parameters.push_back(Variable<double>::parameter(
        "without", DistributedTensor<double>::zeros({topology, {4}, {Replicate{}, Replicate{}}})));
    Plan plan;
    if (world().size() > 1) plan.push_back({Collective::all_reduce, 2 * (world().size() - 1) * 2});
    double norm = 0;
    check_plan("norm", sent_by([&] { norm = gradient_norm(parameters); }), plan);
    CHECK(norm == std::sqrt(expected));

    CHECK(clip_gradient_norm(parameters, 2 * norm) == norm);
    CHECK(gradient_norm(parameters) == norm);
    CHECK(clip_gradient_norm(parameters, 0.5) == norm);
    CHECK(std::abs(gradient_norm(parameters) - 0.5) < 1e-6);
    const auto gradient = parameters.front().dense_gradient();
    const auto whole = gradient.full_tensor();
    for (Index i = 0; i < whole.elements(); ++i) {
      CHECK(std::abs(whole[i] - 0.5 / norm * static_cast<double>(i + 1)) < 1e-6);
    }
    CHECK(!parameters.back().has_gradient());
  }
}

TEST_CASE("row-sparse gradients are clipped as dense ones are, and stay row-sparse") {
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    double norms[2];
    for (const bool sparse : {false, true}) {
      const DistributedEmbedding<float> layer(
          topology, {.num_embeddings = 13, .embedding_dim = 6, .sparse = sparse, .exchange = Exchange::rows});
      const std::vector<Index> ids{3, 3, 12, 0, 7};
      GradientTape tape;
      const auto y = layer(placed_ids<Index>(layer.input_distribution({5}), ids));
      tape.backward(loss_of(y, some_upstream<float>(30)));
      norms[sparse ? 1 : 0] = clip_gradient_norm(layer.parameters(), 0.25);
      CHECK(std::holds_alternative<RowSparse<float>>(layer.weight().gradient()) == sparse);
      CHECK(std::abs(gradient_norm(layer.parameters()) - 0.25) < 1e-5);
    }
    CHECK(std::abs(norms[0] - norms[1]) <= 1e-12 * norms[0]);
  }
}

TEST_CASE("two parameters that share the elements of a gradient are each scaled once") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const Distribution d(topology, {4}, {Shard{0}});
  const auto a = Variable<double>::parameter("a", DistributedTensor<double>::zeros(d));
  const auto b = Variable<double>::parameter("b", DistributedTensor<double>::zeros(d));
  GradientTape tape;
  tape.backward(sum(a + b));
  const auto norm = clip_gradient_norm<double>({a, b}, 1);
  CHECK(norm == std::sqrt(8));
  for (const auto& parameter : {a, b}) {
    const auto gradient = parameter.dense_gradient().local_on_host();
    for (const double g : gradient.span()) CHECK(std::abs(g - 1 / std::sqrt(8)) < 1e-6);
  }
}

TEST_CASE("norms that are no numbers clip nothing; a bound that is none is refused") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto parameter = with_gradient("p", {topology, {3}, {Replicate{}}});
  parameter.scale_gradient(std::numeric_limits<double>::infinity());
  CHECK(std::isinf(clip_gradient_norm<double>({parameter}, 1)));
  CHECK(std::isinf(parameter.dense_gradient().local_on_host()[0]));
  CHECK(contains(error_text([&] { clip_gradient_norm<double>({parameter}, -1); }), "max_norm is -1"));
  CHECK(contains(error_text([&] { clip_gradient_norm<double>({parameter}, std::nan("")); }), "max_norm is nan"));
  CHECK(gradient_norm(std::vector<Variable<double>>{}) == 0);
  CHECK(contains(error_text([&] { gradient_norm<double>({parameter, parameter}); }), "'p' twice"));
  const auto other =
      Variable<double>::parameter("other", DistributedTensor<double>::zeros({topology.along({0}), {3}, {Replicate{}}}));
  CHECK(contains(error_text([&] { gradient_norm<double>({parameter, other}); }), "one root"));
}

}  // namespace
}  // namespace tartan
