// DistributedLinear on every grid against plain loops on whole arrays, what it sends, and its weight shared with an
// embedding.

#include <tartan/autograd/activations.hpp>
#include <tartan/nn/linear.hpp>

#include "autograd/check_placements.hpp"
#include "nn/linear_oracle.hpp"
#include "nn/oracle.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index in = 7;
constexpr Index out = 5;
constexpr Index batch_rows = 6;

constexpr LinearAxes all_axes{.data = 0, .out = 1, .in = 2};

TEST_CASE("a linear layer means the same on every grid, from every storage to every output") {
  const auto x_values = some_upstream<double>(batch_rows * in);
  const auto upstream = some_upstream<double>(batch_rows * out);
  const auto w = initial("head.weight", 3, out * in, in);
  const auto b = initial("head.bias", 3, out, in);
  Batch batch;
  for (const auto& partition : partitions()) {
    for (const auto& grid : factorisations(partition.size(), 3)) {
      const auto topology = partition.cartesian(grid);
      for (const bool biased : {true, false}) {
        const Dense expected(x_values, w, biased ? b : Flat{}, upstream, in, out);
        for (const auto& storage : storages()) {
          for (const auto& output : outputs(2)) {
            const DistributedLinear<double> layer(topology, {.name = "head",
                                                             .in_features = in,
                                                             .out_features = out,
                                                             .bias = biased,
                                                             .seed = 3,
                                                             .axes = all_axes,
                                                             .storage = storage,
                                                             .output = output});
            CHECK(layer.parameters().size() == (biased ? 2 : 1));
            CHECK(layer.bias().is_null() == !biased);
            check_logical(layer.weight().value(), w, 0, "initial weight", batch);
            const auto whole = layer.input_distribution({batch_rows, in});
            for (const auto& d : {whole, whole.with(2, Shard{1}), whole.with(0, Replicate{})}) {
              const auto label =
                  "storage " + storage.to_string() + ", output " + output.to_string() + ", x " + d.to_string();
              INFO(label);
              auto weight = layer.weight();
              auto bias = layer.bias();
              weight.clear_gradient();
              bias.clear_gradient();
              const auto x = Variable<double>::parameter("x", placed(d, x_values));
              GradientTape tape;
              const auto y = layer(x);
              CHECK(y.distribution() == Distribution(topology, {batch_rows, out}, {d.placement(0), Shard{1}, output}));
              check_logical(y.value(), expected.y, 1e-12, label + ", y", batch);
              tape.backward(testing::loss_of(y, upstream));
              CHECK(weight.dense_gradient().distribution() == weight.distribution());
              check_logical(weight.dense_gradient(), expected.to_weight, 1e-12, label + ", weight", batch);
              check_logical(x.dense_gradient(), expected.to_x, 1e-12, label + ", x", batch);
              if (biased) check_logical(bias.dense_gradient(), expected.to_bias, 1e-12, label + ", bias", batch);
            }
          }
        }
      }
    }
  }
  batch.verify();
}

TEST_CASE("dim is short for the axes") {
  const int n = world().size();
  const auto plane = Partition(world()).cartesian({1, n});
  const auto line = Partition(world()).cartesian({n});
  const auto layer = [](const CartesianTopology& topology, std::optional<int> dim) {
    return DistributedLinear<float>(topology, {.in_features = in, .out_features = out, .dim = dim});
  };
  const auto weight_of = [&](const CartesianTopology& topology, std::optional<int> dim) {
    return layer(topology, dim).weight().distribution().placements();
  };
  CHECK(weight_of(plane, {}) == Placements{Replicate{}, Replicate{}});
  CHECK(weight_of(plane, 0) == Placements{Replicate{}, Shard{1}});
  CHECK(weight_of(plane, 1) == Placements{Replicate{}, Shard{0}});
  CHECK(weight_of(plane, -1) == Placements{Replicate{}, Shard{0}});
  CHECK(weight_of(line, {}) == Placements{Replicate{}});
  CHECK(weight_of(line, 0) == Placements{Shard{1}});
  CHECK(weight_of(line, 1) == Placements{Shard{0}});
  CHECK(layer(plane, 1).axes().data == 0);
  CHECK(layer(plane, 1).axes().out == 1);
  CHECK(!layer(line, 1).axes().data);
  CHECK(layer(line, {}).axes().data == 0);
  CHECK(layer(line, {}).input_distribution({4, in}).placements() == Placements{Shard{0}});
}

TEST_CASE("a linear layer sends what the budget says") {
  const int n = world().size();
  if (n == 1) return;
  const auto model = Partition(world()).cartesian({1, n});
  const auto data = Partition(world()).cartesian({n, 1});
  const auto input = [](const Distribution& d) {
    return Variable<float>::parameter("x", DistributedTensor<float>::constant(d, 1));
  };
  const auto check = [&](const std::string& label, const DistributedLinear<float>& layer, const Distribution& d,
                         const Calls& forward, const Calls& backward) {
    const auto x = input(d);
    GradientTape tape;
    Variable<float> loss;
    check_calls(label + ", forward", forward, [&] { loss = sum(layer(x)); });
    check_calls(label + ", backward", backward, [&] { tape.backward(loss); });
  };
  const Distribution whole(model, {batch_rows, in}, {Replicate{}, Replicate{}});
  const Distribution split(model, {batch_rows, in}, {Replicate{}, Shard{1}});
  const auto layer = [&](int dim, Placement output) {
    return DistributedLinear<float>(model, {.in_features = in, .out_features = out, .dim = dim, .output = output});
  };
  check("column", layer(1, Replicate{}), whole, {}, {.all_reduce = 1});
  check("row", layer(0, Replicate{}), split, {.all_reduce = 1}, {});
  check("row, x whole", layer(0, Replicate{}), whole, {.all_reduce = 1}, {.all_gather = 1});
  check("row, output split", layer(0, Shard{0}), split, {.reduce_scatter = 1}, {.all_gather = 1});
  check("row, output pending", layer(0, Partial{}), split, {}, {});

  const auto batch = Distribution(data, {batch_rows, in}, {Shard{0}, Replicate{}});
  const auto stored = [&](Placement storage) {
    return DistributedLinear<float>(data, {.in_features = in, .out_features = out, .bias = false, .storage = storage});
  };
  check("Root", stored(Root{}), batch, {.broadcast = 1}, {.reduce = 1});
  check("Replicate", stored(Replicate{}), batch, {}, {.all_reduce = 1});
  check("Shard(0)", stored(Shard{0}), batch, {.all_gather = 1}, {.reduce_scatter = 1});

  // What has not changed does not move again.
  const auto again = stored(Root{});
  again(input(batch));
  check_calls("evaluation", {}, [&] { again(input(batch)); });

  // A column-parallel layer into a row-parallel one: one all-reduce each way.
  const auto first = layer(1, Replicate{});
  const DistributedLinear<float> second(model, {.name = "second", .in_features = out, .out_features = 3, .dim = 0});
  const auto x = input(whole);
  GradientTape tape;
  Variable<float> loss;
  check_calls("block, forward", {.all_reduce = 1}, [&] { loss = sum(second(relu(first(x)))); });
  check_calls("block, backward", {.all_reduce = 1}, [&] { tape.backward(loss); });
}

TEST_CASE("an embedding and a head on one weight: gradients are added, then reduced once") {
  constexpr Index V = 9;
  constexpr Index D = 5;
  constexpr Index count = 8;
  const auto ids = some_ids(count, V);
  const auto upstream = some_upstream<double>(count * V);
  const EmbeddingLayerOptions options{.name = "tokens", .num_embeddings = V, .embedding_dim = D, .seed = 5};
  const Table<double> table(options);
  const auto rows = table.looked_up(ids);
  const Dense head(rows, table.values, {}, upstream, D, V);
  auto expected = head.to_weight;
  const TableGradient<double> looked_up(ids, head.to_x, V, D);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += looked_up.values[i];

  Batch batch;
  for (const auto& partition : partitions()) {
    for (const auto& grid : factorisations(partition.size(), 3)) {
      const auto topology = partition.cartesian(grid);
      for (const auto& storage : storages()) {
        for (const auto exchange : {Exchange::table, Exchange::rows}) {
          for (const bool sparse : {true, false}) {
            auto here = options;
            here.storage = storage;
            here.exchange = exchange;
            here.sparse = sparse;
            const DistributedEmbedding<double> embedding(topology, here);
            const DistributedLinear<double> layer(embedding.weight(), {.bias = false, .axes = all_axes});
            CHECK(layer.parameters().empty());
            CHECK(layer.options().storage == storage);
            CHECK(layer.options().out_features == V);
            const auto label =
                "grid " + grid.to_string() + ", storage " + storage.to_string() + (sparse ? ", sparse" : "");
            INFO(label);
            const auto list = placed_ids<Index>(embedding.input_distribution({count}), ids);
            GradientTape tape;
            const auto y = layer(embedding(list));
            check_logical(y.value(), head.y, 1e-12, label + ", logits", batch);
            const auto loss = testing::loss_of(y, upstream);
            if (exchange == Exchange::table && !sparse && topology.active()) {
              Calls calls;
              if (grid[0] > 1)
                ++(storage.is_root() ? calls.reduce : storage.is_shard() ? calls.reduce_scatter : calls.all_reduce);
              if (grid[1] > 1) ++calls.all_reduce;  // of the head's input
              check_calls("backward", calls, [&] { tape.backward(loss); });
            } else {
              tape.backward(loss);
            }
            check_logical(embedding.weight().dense_gradient(), expected, 1e-12, label + ", gradient", batch);
          }
        }
      }
    }
  }
  batch.verify();
}

TEST_CASE("a module has the parameters of the linear layers that it is made of, each once") {
  const auto topology = Partition(world()).cartesian({world().size()});
  struct Block : Module<float> {
    DistributedLinear<float> first, second;
    explicit Block(const CartesianTopology& on)
        : first(on, {.name = "first", .in_features = in, .out_features = out}),
          second(on, {.name = "second", .in_features = out, .out_features = in, .bias = false}) {
      add_parameters_of(first);
      add_parameters_of(second);
    }
  };
  const Block block(topology);
  std::vector<std::string> names;
  for (const auto& parameter : block.parameters()) names.push_back(parameter.name());
  CHECK(names == std::vector<std::string>{"first.weight", "first.bias", "second.weight"});
  CHECK(block.parameter("second.weight").shape() == Shape{in, out});
}

TEST_CASE("a head on the weight of a reproducible embedding, whose blocks are its own") {
  const auto topology = Partition(world()).cartesian({1, 1, world().size()});
  const DistributedEmbedding<double> embedding(topology,
                                               {.num_embeddings = 4, .embedding_dim = 40, .reproducible = true});
  const DistributedLinear<double> head(embedding.weight(), {.axes = all_axes});
  const auto x_values = some_upstream<double>(3 * 40);
  const auto w = Table<double>({.num_embeddings = 4, .embedding_dim = 40});
  const Dense expected(x_values, w.values, initial("linear.bias", 0, 4, 40), Flat(12), 40, 4);
  const auto x = placed(head.input_distribution({3, 40}), x_values);
  Batch batch;
  check_logical(head(Variable<double>(x)).value(), expected.y, 1e-12, "logits", batch);
  batch.verify();
}

TEST_CASE("features that an axis of one rank has to itself are whole") {
  const auto topology = Partition(world()).first(1).cartesian({1, 1, 1});
  const DistributedEmbedding<float> tokens(topology, {.name = "tokens", .num_embeddings = 5, .embedding_dim = 4});
  const DistributedLinear<float> layer(topology, {.name = "layer", .in_features = 4, .out_features = 2});
  const auto y = layer(tokens(DistributedTensor<Index>::zeros(tokens.input_distribution({3}))));
  CHECK(y.shape() == Shape{3, 2});
}

TEST_CASE("linear layers refuse what does not fit, on every rank") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({1, n});
  SameTexts texts;
  const auto refuses = [&](const std::string& part, LinearLayerOptions options) {
    const auto text = texts.of([&] { DistributedLinear<float>(topology, options); });
    INFO(text);
    CHECK(contains(text, "the linear layer 'linear'"));
    CHECK(contains(text, part));
  };
  refuses("at least 1, not 0 and 3", {.in_features = 0, .out_features = 3});
  refuses("at least 1, not 2 and -1", {.in_features = 2, .out_features = -1});
  refuses("dim 2", {.in_features = 2, .out_features = 3, .dim = 2});
  refuses("both .axes and .dim", {.in_features = 2, .out_features = 3, .dim = 0, .axes = LinearAxes{}});
  refuses("axis 2 of a grid of 2 axes", {.in_features = 2, .out_features = 3, .axes = LinearAxes{.in = 2}});
  refuses("axis 1 twice", {.in_features = 2, .out_features = 3, .axes = LinearAxes{.out = 1, .in = 1}});
  refuses("store its parameters as Partial", {.in_features = 2, .out_features = 3, .storage = Partial{}});
  refuses("store its parameters as Shard(1)", {.in_features = 2, .out_features = 3, .storage = Shard{1}});
  refuses("cut 3 out_features into 2 parts", {.in_features = 2, .out_features = 3, .parts = 2});
  refuses("cut 3 out_features into 0 parts", {.in_features = 2, .out_features = 3, .parts = 0});
  refuses("cut 3 features at multiples of 2", {.in_features = 2, .out_features = 6, .parts = 2, .out_unit = 2});
  refuses("cut 2 features at multiples of 0", {.in_features = 2, .out_features = 3, .in_unit = 0});

  const auto weight = [&](Shape shape, Placement placement) {
    return Variable<float>::parameter(
        "w", DistributedTensor<float>::zeros({topology, std::move(shape), {Replicate{}, placement}}));
  };
  const auto refuses_weight = [&](const std::string& part, const Variable<float>& w, LinearLayerOptions options) {
    const auto text = texts.of([&] { DistributedLinear<float>(w, options); });
    INFO(text);
    CHECK(contains(text, part));
  };
  refuses_weight("not one of the shape (3)", weight({3}, Replicate{}), {});
  refuses_weight("(4, 2) in 1 parts but was given one of (3, 2)", weight({3, 2}, Replicate{}),
                 {.in_features = 2, .out_features = 4});
  refuses_weight("ask for (3, 2): [Replicate, Shard(0)]", weight({3, 2}, Shard{1}), {.dim = 1});
  refuses_weight("ask for (3, 2): [Replicate, Replicate]", weight({3, 2}, Partial{}), {});

  const DistributedLinear<float> layer(topology, {.in_features = in, .out_features = out, .dim = 0});
  const auto apply = [&](Shape shape, Placement placement) {
    return texts.of([&] {
      layer(Variable<float>(DistributedTensor<float>::zeros({topology, std::move(shape), {Replicate{}, placement}})));
    });
  };
  CHECK(contains(apply({3, in + 1}, Replicate{}), "takes x (..., 7), not one of the shape (3, 8)"));
  CHECK(contains(apply({}, Replicate{}), "not one of the shape ()"));
  texts.verify();
}

}  // namespace
}  // namespace tartan
