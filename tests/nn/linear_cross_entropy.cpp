// Cross-entropy of a product that is never whole, against the cross-entropy of the product: loss, gradients of x,
// weight and bias, for tiles of every width, on every grid; memory.

#include <tartan/autograd/item.hpp>
#include <tartan/nn/cross_entropy.hpp>
#include <tartan/nn/embedding.hpp>
#include <tartan/nn/linear.hpp>

#include "autograd/check_placements.hpp"
#include "nn/traffic.hpp"
#include "oracles/dyadic.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index in = 6;
constexpr Index classes = 11;

struct Operands {
  Variable<double> x, weight, bias;
  DistributedTensor<Index> targets;
  CrossEntropyOptions<double> options;
};

/// x (3, 2, in) and a weight (classes, in), placed as asked along each axis.
Operands operands(const CartesianTopology& topology, const Placements& x, const Placements& weight, bool biased,
                  LossReduction reduction) {
  const auto values = [](const Distribution& d, Index factor) {
    return placed_values<double>(d, dyadic(d.shape().elements(), factor, 3, 23, 8));
  };
  Operands result{Variable<double>::parameter("x", values({topology, {3, 2, in}, x}, 7)),
                  Variable<double>::parameter("weight", values({topology, {classes, in}, weight}, 5)),
                  {},
                  {},
                  {.ignore_index = 4, .label_smoothing = 0.125, .reduction = reduction}};
  if (biased) result.bias = Variable<double>::parameter("bias", values({topology, {classes}, weight}, 3));
  const auto logits = functional::linear(result.x, result.weight, result.bias);
  const auto d = target_distribution(logits.distribution());
  result.targets = DistributedTensor<Index>::from_function(d, [&](auto i) { return d.shape().flat(i) * 4 % classes; });
  result.options.weight =
      placed_values<double>({topology, {classes}, Placements(x.size(), Replicate{})}, dyadic(classes, 3, 7, 11, 2));
  return result;
}

/// Loss and gradients, whole.
std::vector<std::vector<double>> pass(Operands& o, const std::function<Variable<double>()>& loss) {
  GradientTape tape;
  const auto result = loss();
  tape.backward(result.shape().dimensions() == 0 ? result : sum(0.5 * result));
  std::vector<std::vector<double>> left;
  const auto keep = [&](const DistributedTensor<double>& tensor) {
    const auto whole = tensor.full_tensor();
    left.emplace_back(whole.span().begin(), whole.span().end());
  };
  keep(result.value());
  for (auto* variable : {&o.x, &o.weight, &o.bias}) {
    if (variable->is_null()) continue;
    CHECK(variable->dense_gradient().distribution() == variable->distribution().gradient());
    keep(variable->dense_gradient());
    variable->clear_gradient();
  }
  return left;
}

void check_alike(const CartesianTopology& topology, const Placements& x, const Placements& weight, bool biased,
                 LossReduction reduction) {
  auto o = operands(topology, x, weight, biased, reduction);
  const auto expected = pass(
      o, [&] { return functional::cross_entropy(functional::linear(o.x, o.weight, o.bias), o.targets, o.options); });
  for (const Index tile : {0, 1, 4, 100}) {
    INFO(o.x.distribution().to_string() << " " << o.weight.distribution().to_string() << " tile " << tile);
    const auto found =
        pass(o, [&] { return functional::linear_cross_entropy(o.x, o.weight, o.bias, o.targets, o.options, tile); });
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(largest_difference(found[i], expected[i]) <= 1e-13);
  }
}

TEST_CASE("the cross-entropy of a product in tiles is that of the product, on every grid") {
  struct Cell {
    Placement x, weight;
  };
  const std::vector<Cell> cells{
      {Replicate{}, Shard{0}}, {Shard{0}, Replicate{}}, {Shard{1}, Replicate{}}, {Replicate{}, Replicate{}}};
  int count = 0;
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& [x0, w0] : cells) {
      for (const auto& [x1, w1] : cells) {
        const auto reduction = std::vector{LossReduction::mean, LossReduction::sum, LossReduction::none}[count % 3];
        check_alike(topology, {x0, x1}, {w0, w1}, count++ % 2 == 0, reduction);
      }
    }
  }
}

TEST_CASE("the cross-entropy of a product in tiles where a rank is outside the grid") {
  const auto partition = partitions().back();
  const auto topology = partition.cartesian({partition.size()});
  check_alike(topology, {Replicate{}}, {Shard{0}}, true, LossReduction::mean);
  check_alike(topology, {Shard{0}}, {Replicate{}}, true, LossReduction::none);
  check_alike(topology, {Replicate{}}, {Replicate{}}, false, LossReduction::sum);
}

TEST_CASE("a head of any storage, tied to its embedding or with a weight and a bias of its own") {
  const std::vector<Index> ids{3, 0, 10, 3, 7, 5};
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const Placement storage : {Placement(Root{}), Placement(Replicate{}), Placement(Shard{0})}) {
      INFO(grid.to_string() << " " << storage.to_string());
      const DistributedEmbedding<double> tokens(topology, {.name = "tokens",
                                                           .num_embeddings = classes,
                                                           .embedding_dim = in,
                                                           .axes = EmbeddingAxes{.data = 0, .rows = 1},
                                                           .storage = storage});
      const LinearAxes axes{.data = 0, .out = 1};
      const DistributedLinear<double> tied(tokens.weight(), {.name = "tied", .bias = false, .axes = axes});
      const DistributedLinear<double> own(
          topology, {.name = "own", .in_features = in, .out_features = classes, .axes = axes, .storage = storage});
      const auto placed = tokens.input_distribution({6});
      const auto batch =
          DistributedTensor<Index>::from_function(placed, [&](auto i) { return ids[static_cast<std::size_t>(i[0])]; });
      for (const auto* head : {&tied, &own}) {
        std::vector<double> losses, norms;
        for (const bool fused : {false, true}) {
          GradientTape tape;
          const auto x = tokens(batch);
          const auto loss = fused ? functional::linear_cross_entropy(x, *head, batch, {}, 3)
                                  : functional::cross_entropy((*head)(x), batch);
          tape.backward(loss);
          losses.push_back(item(loss));
          norms.push_back(norm(tokens.weight().dense_gradient()));
          for (auto parameter : {tokens.weight(), head->weight(), head->bias()}) parameter.clear_gradient();
        }
        CHECK(std::abs(losses[0] - losses[1]) <= 1e-13);
        CHECK(std::abs(norms[0] - norms[1]) <= 1e-13);
      }
    }
  }
}

TEST_CASE("a frozen weight, a constant x: what needs no gradient gets none") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto o = operands(topology, {Replicate{}}, {Shard{0}}, false, LossReduction::mean);
  for (const bool frozen : {false, true}) {
    auto x = Variable<double>::parameter("x", o.x.value());
    auto weight = Variable<double>::parameter("weight", o.weight.value());
    GradientTape tape;
    tape.backward(frozen
                      ? functional::linear_cross_entropy<double>(x, o.weight.value(), {}, o.targets)
                      : functional::linear_cross_entropy<double>(Variable<double>(o.x.value()), weight, {}, o.targets));
    CHECK(x.has_gradient() == frozen);
    CHECK(weight.has_gradient() == !frozen);
  }
}

TEST_CASE("a head of classes that are cut: one message forward, one backward") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto o = operands(topology, {Replicate{}}, {Shard{0}}, false, LossReduction::mean);
  functional::linear_cross_entropy(o.x, o.weight, o.bias, o.targets, o.options);  // the targets are checked once
  const Index ranks = world().size(), rows = 6;
  Plan forward, backward;
  if (ranks > 1) {
    // check_plan() counts elements of four bytes.
    forward.push_back(topology.device().is_cpu() ? Planned{Collective::all_reduce, 2 * (ranks - 1) * rows * 6 * 2}
                                                 : Planned{Collective::all_gather, ranks * (ranks - 1) * rows * 6 * 2});
    backward.push_back({Collective::all_reduce, 2 * (ranks - 1) * rows * in * 2});
  }
  GradientTape tape;
  Variable<double> loss;
  check_plan("forward",
             sent_by([&] { loss = functional::linear_cross_entropy(o.x, o.weight, o.bias, o.targets, o.options, 2); }),
             forward);
  check_plan("backward", sent_by([&] { tape.backward(loss); }), backward);
}

TEST_CASE("what does not fit is refused on every rank") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto o = operands(topology, {Replicate{}}, {Shard{0}}, false, LossReduction::mean);
  SameTexts texts;
  CHECK(contains(texts.of([&] { functional::linear_cross_entropy(o.x, o.weight, o.bias, o.targets, o.options, -1); }),
                 "tile_classes"));
  const Variable<double> fewer(DistributedTensor<double>::zeros({topology, {2, in}, {Replicate{}}}));
  CHECK(contains(texts.of([&] { functional::linear_cross_entropy(fewer, o.weight, o.bias, o.targets); }), "targets"));
  const Variable<double> cut(DistributedTensor<double>::zeros({topology, {classes, in}, {Shard{1}}}));
  CHECK(contains(texts.of([&] { functional::linear_cross_entropy(o.x, cut, o.bias, o.targets); }), "linear"));
  // What is well for a product alone: the caller sees no logits of which to speak.
  for (const auto& [of_x, of_weight] :
       {std::pair<Placement, Placement>(Shard{2}, Shard{1}), {Partial{}, Replicate{}}, {Root{}, Root{}}}) {
    const Variable<double> x(DistributedTensor<double>::zeros({topology, {3, 2, in}, {of_x}}));
    const Variable<double> weight(DistributedTensor<double>::zeros({topology, {classes, in}, {of_weight}}));
    const auto text = texts.of([&] { functional::linear_cross_entropy(x, weight, {}, o.targets); });
    INFO(text);
    CHECK(contains(text, "linear cross-entropy takes a weight that is cut in its classes"));
    CHECK(contains(text, x.distribution().to_string()));
    CHECK(contains(text, weight.distribution().to_string()));
    CHECK(!contains(text, "logits"));
  }
  texts.verify();
}

}  // namespace
}  // namespace tartan
