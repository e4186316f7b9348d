// Training on the grids that lie along an axis of another one (CartesianTopology::along): ranks outside of that have no
// root, and go along with empty tensors.

#include <tartan/autograd/attention.hpp>
#include <tartan/autograd/item.hpp>
#include <tartan/autograd/shapes.hpp>
#include <tartan/distributed/inner_product.hpp>
#include <tartan/nn/cross_entropy.hpp>
#include <tartan/nn/embedding_bag.hpp>
#include <tartan/nn/normalization.hpp>
#include <tartan/nn/top_k.hpp>
#include <tartan/optim/clipping.hpp>
#include <tartan/optim/optimizer.hpp>

#include "nn/linear_oracle.hpp"
#include "nn/oracle.hpp"

namespace tartan {
namespace {

using namespace testing;

/// The losses and norms of a few steps of a small transformer on a grid of one axis, and the sum of its weights.
std::vector<double> trained(const CartesianTopology& topology) {
  constexpr Index batch = 2, length = 3, heads = 2, width = 2, features = heads * width, classes = 5;
  const DistributedEmbedding<double> tokens(topology, {.name = "tokens",
                                                       .num_embeddings = classes,
                                                       .embedding_dim = features,
                                                       .axes = EmbeddingAxes{.rows = 0},
                                                       .storage = Replicate{}});
  const DistributedLayerNorm<double> norm(topology, {.name = "norm", .features = features});
  const DistributedLinear<double> in(
      topology,
      {.name = "in", .in_features = features, .out_features = 3 * features, .dim = 1, .parts = 3, .out_unit = width});
  const DistributedLinear<double> out(
      topology, {.name = "out", .in_features = features, .out_features = features, .dim = 0, .in_unit = width});
  const DistributedLinear<double> head(topology,
                                       {.name = "head", .in_features = features, .out_features = classes, .dim = 1});
  std::vector<Variable<double>> parameters;
  for (const Module<double>* module : std::initializer_list<const Module<double>*>{&tokens, &norm, &in, &out, &head}) {
    for (const auto& parameter : module->parameters()) parameters.push_back(parameter);
  }
  Adam<double> adam(parameters);
  const Distribution d(topology, {batch, length}, {Replicate{}});
  const auto ids = DistributedTensor<Index>::from_function(d, [](auto i) { return (i[0] * 2 + i[1] * 3) % classes; });
  std::vector<double> numbers;
  for (int step = 0; step < 3; ++step) {
    GradientTape tape;
    const auto x = tokens(ids);
    const auto qkv = split(reshape(in(norm(x)), {batch, length, 3, heads, width}), {1, 1, 1}, 2);
    const auto part = [&](std::size_t i) { return reshape(qkv[i], {batch, length, heads, width}); };
    const auto y = scaled_dot_product_attention(part(0), part(1), part(2), {.causal = true});
    const auto logits = head(x + out(reshape(y, {batch, length, features})));
    const auto loss = functional::cross_entropy(logits, ids);
    tape.backward(loss);
    numbers.push_back(item(loss));
    numbers.push_back(clip_gradient_norm(parameters, 0.5));
    adam.step();
    adam.clear_gradients();
    argmax(logits.value()).full_tensor();
  }
  for (const auto& parameter : parameters) numbers.push_back(tartan::norm(parameter.value()));
  return numbers;
}

/// The sum of bags, the norm of its gradient, and the sum after a step.
std::vector<double> bagged(const CartesianTopology& topology, Placement storage) {
  const DistributedEmbeddingBag<double> layer(topology, {.name = "bags",
                                                         .num_embeddings = 9,
                                                         .embedding_dim = 3,
                                                         .sparse = true,
                                                         .axes = EmbeddingAxes{.data = 0},
                                                         .storage = storage});
  RowwiseAdagrad<double> adagrad(layer.parameters());
  const auto batch = [&](std::vector<Index> values) {
    return placed_ids<Index>({topology, {std::ssize(values)}, {Shard{0}}}, values);
  };
  const auto ids = batch({3, 0, 8, 3, 3, 7, 1});
  const auto offsets = batch({0, 2, 2, 5});
  std::vector<double> numbers;
  for (int step = 0; step < 2; ++step) {
    GradientTape tape;
    const auto total = sum(layer(ids, offsets));
    tape.backward(total);
    numbers.push_back(item(total));
    numbers.push_back(gradient_norm(layer.parameters()));
    adagrad.step();
    adagrad.clear_gradients();
  }
  return numbers;
}

void check_found(const CartesianTopology& topology, const std::vector<double>& found,
                 const std::vector<double>& alone) {
  REQUIRE(found.size() == alone.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (topology.active()) {
      CHECK(std::abs(found[i] - alone[i]) <= 1e-12);
    } else {
      CHECK(found[i] == 0);
    }
  }
}

TEST_CASE("training along an axis of the first ranks, whatever the others do") {
  const int few = std::max(1, world().size() - 1);
  const auto some = Partition(world()).first(few);
  const auto by_itself = Partition(world().split(world().rank(), 0, "alone")).cartesian({1});
  const auto alone = trained(by_itself);
  for (const auto& grid : factorisations(few, 2)) {
    const auto topology = some.cartesian(grid);
    for (const int axis : {0, 1}) {
      const auto along = topology.along({axis});
      INFO("axis " << axis << " of " << grid.to_string());
      REQUIRE(along.root().is_null() == !some.active());
      check_found(along, trained(along), alone);
      for (const auto& storage : storages()) {
        check_found(along, bagged(along, storage), bagged(by_itself, storage));
      }
    }
  }
}

}  // namespace
}  // namespace tartan
