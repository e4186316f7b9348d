// Layers on bfloat16 and half against themselves on floats. Their numbers are small integers, which all types have
// exactly, and so are their sums: what differs is a number that was rounded, lost or put elsewhere.

#include <cmath>

#include <tartan/autograd/activations.hpp>
#include <tartan/distributed/leaves.hpp>
#include <tartan/nn/embedding_bag.hpp>
#include <tartan/nn/linear.hpp>
#include <tartan/nn/multi_embedding.hpp>
#include <tartan/nn/prompt_embedding.hpp>
#include <tartan/optim/optimizer.hpp>

#include "nn/oracle.hpp"

namespace tartan {
namespace {

using namespace testing;

/// Everything that a lookup or a product gives, as doubles.
using Outcome = std::vector<double>;

/// Small integers, another one for each neighbour.
template <class T>
DistributedTensor<T> integers(const Distribution& d, Index step, Index bound = 3) {
  return DistributedTensor<T>::from_function(d, [&](std::span<const Index> index) {
    return static_cast<T>(static_cast<double>((d.shape().flat(index) * step + 1) % (2 * bound + 1) - bound));
  });
}

template <class T>
void append(Outcome& numbers, const DistributedTensor<T>& tensor) {
  const auto whole = tensor.full_tensor();
  for (const T x : whole.span()) numbers.push_back(static_cast<double>(x));
}

/// y, and after a backward pass of <y, integers> the gradients of the parameters.
template <class T>
void append_outcome(Outcome& numbers, GradientTape& tape, const Variable<T>& y,
                    const std::vector<Variable<T>>& parameters) {
  append(numbers, y.value());
  tape.backward(sum(y * Variable<T>(integers<T>(y.distribution().gradient(), 2, 1))));
  for (auto parameter : parameters) {
    CHECK(std::holds_alternative<DistributedTensor<T>>(parameter.gradient()) == (parameter.name() != "sparse.weight"));
    append(numbers, parameter.dense_gradient());
    parameter.clear_gradient();
  }
}

template <class T>
Outcome lookups(const CartesianTopology& topology, const Placement& storage, Exchange exchange, const Placement& output,
                bool sparse, bool reproducible) {
  Outcome numbers;
  const EmbeddingLayerOptions options{
      .name = sparse ? "sparse" : "dense",
      .num_embeddings = 13,
      .embedding_dim = 9,
      .column_extents = reproducible ? leaf_blocks(9, topology.grid().extent(2)) : std::vector<Index>{},
      .padding_idx = 4,
      .sparse = sparse,
      .reproducible = reproducible,
      .storage = storage,
      .output = output,
      .exchange = exchange};
  const auto table = integers<T>(Distribution(topology, {13, 9}, Placements(3, Replicate{})), 5);
  const DistributedEmbedding<T> layer(topology, table, options);
  {
    const auto ids = placed_ids<std::int32_t>(layer.input_distribution({4, 3}), some_ids(12, 13));
    GradientTape tape;
    append_outcome(numbers, tape, layer(ids), {layer.weight()});
  }
  for (const BagMode mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
    if (mode == BagMode::max && output.is_partial()) continue;
    const DistributedEmbeddingBag<T> bags(topology, table, options, {.mode = mode});
    // Two or four different ids that are no padding: means are exact.
    const std::vector<Index> list{0, 1, 2, 3, 5, 6, 7, 8, 0, 2, 9, 11, 12, 10, 1, 7};
    const auto ids = placed_ids<Index>(bags.input_distribution({4, 4}), list);
    GradientTape tape;
    const auto weights =
        mode == BagMode::sum ? Variable<T>::parameter("weights", integers<T>(ids.distribution(), 3, 1)) : Variable<T>{};
    const auto parameters = weights.is_null() ? std::vector{bags.weight()} : std::vector{bags.weight(), weights};
    append_outcome(numbers, tape, bags(ids, weights), parameters);
  }
  return numbers;
}

template <class T>
Outcome many_tables(const CartesianTopology& topology) {
  Outcome numbers;
  std::vector<DistributedTensor<T>> weights;
  const Placements whole(3, Replicate{});
  for (const auto& shape : {Shape{7, 3}, Shape{2, 5}, Shape{11, 4}}) {
    weights.push_back(integers<T>(Distribution(topology, shape, whole), 3 + shape[0]));
  }
  const DistributedMultiEmbedding<T> layer(topology, weights, {.name = "multi"});
  std::vector<Index> list;
  for (Index i = 0; i < 15; ++i) list.push_back(i * i % (i % 3 == 0 ? 7 : i % 3 == 1 ? 2 : 11));
  const auto ids = placed_ids<std::int32_t>(layer.input_distribution({5, 3}), list);
  GradientTape tape;
  append_outcome(numbers, tape, layer(ids), layer.weights());
  return numbers;
}

template <class T>
Outcome text_and_prompts(const CartesianTopology& topology, Exchange exchange) {
  Outcome numbers;
  const auto table = integers<T>(Distribution(topology, {13, 9}, Placements(3, Replicate{})), 5);
  const DistributedPromptEmbedding<T> layer(topology, table, {.name = "text", .exchange = exchange},
                                            {.tasks = 2, .prompt_length = 3});
  auto parameters = layer.parameters();
  parameters[1].assign(integers<T>(Distribution(topology, {6, 9}, Placements(3, Replicate{})), 7));
  const auto ids = placed_ids<Index>(layer.input_distribution({5, 4}), some_ids(20, 16));
  const auto tasks = placed_ids<Index>(layer.input_distribution({5}), {0, 1, 1, 0, 1});
  GradientTape tape;
  append_outcome(numbers, tape, layer(ids, tasks), parameters);
  return numbers;
}

template <class T>
Outcome products(const CartesianTopology& topology, const LinearAxes& axes, const Placement& storage) {
  Outcome numbers;
  const DistributedLinear<T> layer(
      topology, {.name = "linear", .in_features = 7, .out_features = 5, .axes = axes, .storage = storage});
  auto weight = layer.weight();
  auto bias = layer.bias();
  weight.assign(integers<T>(weight.distribution(), 4));
  bias.assign(integers<T>(bias.distribution(), 3));
  const auto d = layer.input_distribution({6, 7});
  const auto x = Variable<T>::parameter("x", integers<T>(d, 5, 2));
  GradientTape tape;
  append_outcome(numbers, tape, relu(layer(x)), {x, weight, bias});
  return numbers;
}

/// Where the reproducible training of a table leaves it, and the losses on the way.
template <class T>
struct Trained {
  std::vector<T> weight;
  std::vector<double> losses;

  Trained(const CartesianTopology& topology, const Placement& storage, bool sparse) {
    const DistributedEmbedding<T> layer(topology, {.name = "table",
                                                   .num_embeddings = 13,
                                                   .embedding_dim = 70,
                                                   .max_norm = 9,
                                                   .scale_grad_by_freq = true,
                                                   .sparse = sparse,
                                                   .reproducible = true,
                                                   .storage = storage});
    RowwiseAdagrad<T> adagrad(layer.parameters(), {.learning_rate = 0.5, .epsilon = 1e-3, .reproducible = true});
    const auto left = placed_ids<Index>(layer.input_distribution({30}), some_ids(30, 13));
    const auto right = placed_ids<Index>(layer.input_distribution({30, 3}), some_ids(90, 12));
    for (int step = 0; step < 6; ++step) {
      GradientTape tape;
      const auto x = dot(layer(left), layer(right), {.reproducible = true});
      const auto& d = x.distribution();
      const auto y = DistributedTensor<T>::from_function(d, [](auto index) { return T(index[1] == 0 ? 1 : 0); });
      const auto loss = binary_cross_entropy_with_logits(x, y);
      losses.push_back(static_cast<double>(redistribute(loss.value(), Replicate{}).full_tensor()[0]));
      tape.backward(loss);
      adagrad.step();
      adagrad.clear_gradients();
    }
    const auto whole = layer.weight().value().full_tensor();
    weight.assign(whole.span().begin(), whole.span().end());
  }
};

}  // namespace

TEMPLATE_TEST_CASE("a reproducible table of half types is trained to the bits of one processor on every grid", "",
                   bfloat16, half) {
  using T = TestType;
  int turn = 0;
  const Partition alone(world().split(world().rank(), 0, "alone"));
  for (const bool sparse : {false, true}) {
    const Trained<T> expected(alone.cartesian({1, 1, 1}, Device{}), Replicate{}, sparse);
    CHECK(expected.losses.back() < 0.5 * expected.losses.front());
    for (const auto& grid : factorisations(world().size(), 3)) {
      const auto topology = Partition(world()).cartesian(grid);
      const auto storage = storages()[static_cast<std::size_t>(turn++) % storages().size()];
      INFO("storage " << storage.to_string() << ", on " << grid.to_string());
      CHECK(Trained<T>(topology, storage, sparse).weight == expected.weight);
    }
  }
}

TEMPLATE_TEST_CASE("lookups and bags of half types have the numbers of float ones", "", bfloat16, half) {
  using T = TestType;
  int turn = 0;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      for (const Exchange exchange : {Exchange::table, Exchange::rows}) {
        const auto output = outputs(1)[static_cast<std::size_t>(turn % 3)];
        const bool sparse = turn % 2 == 0;
        const bool reproducible = ++turn % 3 == 0;
        INFO("storage " << storage.to_string() << ", output " << output.to_string() << ", on " << grid[0] << " x "
                        << grid[1] << " x " << grid[2]);
        REQUIRE(lookups<T>(topology, storage, exchange, output, sparse, reproducible) ==
                lookups<float>(topology, storage, exchange, output, sparse, reproducible));
      }
    }
    REQUIRE(many_tables<T>(topology) == many_tables<float>(topology));
    for (const Exchange exchange : {Exchange::table, Exchange::rows})
      REQUIRE(text_and_prompts<T>(topology, exchange) == text_and_prompts<float>(topology, exchange));
  }
}

TEMPLATE_TEST_CASE("linear layers of half types have the numbers of float ones", "", bfloat16, half) {
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      for (const LinearAxes& axes : {LinearAxes{.data = 0, .out = 1}, LinearAxes{.data = 0, .in = 1}}) {
        INFO("storage " << storage.to_string() << ", on " << grid.to_string());
        REQUIRE(products<TestType>(topology, axes, storage) == products<float>(topology, axes, storage));
      }
    }
  }
}

TEMPLATE_TEST_CASE("initial values of half types are the rounded ones of the stream, on every grid", "", bfloat16,
                   half) {
  using T = TestType;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const EmbeddingLayerOptions options{.name = "w", .num_embeddings = 11, .embedding_dim = 5, .padding_idx = -2};
    const DistributedEmbedding<T> layer(Partition(world()).cartesian(grid), options);
    CHECK(same_bits(layer.weight().value(), Table<T>(options).values));
  }
}

TEMPLATE_TEST_CASE("contributions to a half row are added in float and rounded once, on every split of the table", "",
                   bfloat16, half) {
  using T = TestType;
  // 300 hits of one row: added one by one in 16 bits they would stop growing.
  const std::vector<Index> list(300, 2);
  const std::vector<Index> some = some_ids(300, 5);
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto* ids : {&list, &some}) {
      for (const bool scaled : {false, true}) {
        const Distribution placed(topology, {300}, {Replicate{}, Replicate{}});
        const Distribution cut(topology, {5, 3}, {Shard{0}, Shard{1}});
        const auto upstream = some_upstream<T>(900);
        std::vector<float> wide(upstream.size());
        for (std::size_t i = 0; i < wide.size(); ++i) {
          wide[i] = static_cast<float>(upstream[i]);
          if (scaled) wide[i] /= static_cast<float>(std::ranges::count(*ids, (*ids)[i / 3]));
        }
        const TableGradient<float> sums(*ids, wide, 5, 3);
        std::vector<T> expected;
        for (const float x : sums.values) expected.push_back(T(x));
        const auto weight = Variable<T>::parameter("w", integers<T>(cut, 2));
        GradientTape tape;
        const auto y = functional::embedding(placed_ids<Index>(placed, *ids), weight, {.scale_grad_by_freq = scaled});
        const auto loss = loss_of(y, upstream);
        tape.backward(loss);
        const auto gradient = weight.dense_gradient();
        const auto mine = held(gradient.distribution(), expected);
        CHECK(std::ranges::equal(gradient.local().span(), mine));
      }
    }
  }
}

TEMPLATE_TEST_CASE("a dot and a loss of half types are those of floats, rounded", "", bfloat16, half) {
  using T = TestType;
  const double unit = static_cast<double>(std::numeric_limits<T>::epsilon());
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    const auto run = [&]<class U>(U) {
      Outcome numbers;
      const auto a = Variable<U>::parameter("a", integers<U>({topology, {6, 8}, {Shard{0}, Replicate{}}}, 5, 1));
      const auto b = Variable<U>::parameter("b", integers<U>({topology, {6, 8}, {Shard{0}, Replicate{}}}, 3, 2));
      const auto y = integers<U>({topology, {6}, {Shard{0}, Replicate{}}}, 1, 1);
      GradientTape tape;
      const auto x = dot(a, b);
      append(numbers, x.value());
      const auto loss = binary_cross_entropy_with_logits(x, y);
      append(numbers, loss.value());
      tape.backward(loss);
      append(numbers, a.dense_gradient());
      append(numbers, b.dense_gradient());
      return numbers;
    };
    const auto ours = run(T{});
    const auto floats = run(0.0F);
    REQUIRE(ours.size() == floats.size());
    // Logits are exact, each term of the loss and each upstream gradient is rounded once, and each product with it.
    const double terms = grid[0];
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const double roundings = i < 6 ? 0 : i == 6 ? terms + 1 : 2;
      CHECK(std::abs(ours[i] - floats[i]) <= roundings * unit * std::max(std::abs(floats[i]), i == 6 ? 8.0 : 0.0));
    }
  }
}

}  // namespace tartan
