// Tables from wherever they are into layers, and out again. The marked parts are in docs/tables.md: scripts/check
// compares.

#include <tartan/tartan.hpp>

#include "autograd/logical.hpp"
#include "nn/local_tensors.hpp"
#include "nn/options.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 11;
constexpr Index D = 6;

double number(std::span<const Index> i) { return static_cast<double>(100 * i[0] + i[1]); }

/// The numbers above, row by row.
std::vector<float> numbers() {
  std::vector<float> values;
  for (Index i = 0; i < V * D; ++i) values.push_back(static_cast<float>(100 * (i / D) + i % D));
  return values;
}

/// Grids of three axes over all ranks, over the upper half of them backwards, and over the last one.
std::vector<CartesianTopology> grids() {
  const Partition all(world());
  std::vector<CartesianTopology> result;
  for (const auto& grid : factorisations(all.size(), 3)) result.push_back(all.cartesian(grid));
  std::vector<int> upper;
  for (int rank = all.size() - 1; rank >= all.size() / 2; --rank) upper.push_back(rank);
  const auto half = all.subset(upper);
  result.push_back(half.cartesian({1, half.size(), 1}));
  result.push_back(half.cartesian({half.size(), 1, 1}));
  result.push_back(all.subset({all.size() - 1}).cartesian({1, 1, 1}));
  return result;
}

/// One step on the same 17 ids.
void train(const DistributedEmbedding<float>& layer, Optimizer<float>& optimizer) {
  const auto ids = placed_ids<Index>(layer.input_distribution({17}), some_ids(17, V));
  GradientTape tape;
  const auto y = layer(ids);
  tape.backward(sum(y * y));
  optimizer.step();
  optimizer.clear_gradients();
}

TEST_CASE("tables in and out as a user writes it") {
  const Partition world(testing::world());
  const auto grid = world.cartesian({1, world.size(), 1});
  const auto other_grid = world.first((world.size() + 1) / 2).cartesian({1, 1, (world.size() + 1) / 2});
  const auto expected = numbers();
  const auto everything = Tensor<float>::from({V, D}, expected);

  SECTION("out") {
    const DistributedEmbedding<float> layer(
        grid, DistributedTensor<float>::from_function({grid, {V, D}, {Replicate{}, Replicate{}, Shard{0}}}, number),
        {});
    // docs: out
    const Tensor<float> everywhere = layer.weight().value().full_tensor();  // (V, D), on every rank of the grid
    const Tensor<float> at_root = layer.weight().value().to_root();         // (V, D) at position 0, nothing elsewhere
    // docs: end
    CHECK(same_bits(everywhere, expected));
    CHECK(same_bits(at_root, grid.rank() == 0 ? expected : std::vector<float>{}));
  }
  SECTION("from one rank") {
    const int reader = world.size() - 1;
    const auto read = [&] { return everything; };
    // docs: from one rank
    const auto full = collectively(world.root(), [&] {           // where read() throws, every rank throws
      return world.rank() == reader ? read() : Tensor<float>();  // (V, D) on one rank: of a file, say
    });
    const Distribution there(world.subset({reader}).cartesian({1}), {V, D}, {Replicate{}});
    const auto table = DistributedTensor<float>::from_root(there, full);
    const auto layer = DistributedEmbedding<float>::from_pretrained(grid, table, {.name = "tokens"});
    // docs: end
    CHECK(same_bits(layer.weight().value(), expected));
    CHECK(layer.parameters().empty());
  }
  SECTION("from a function") {
    // docs: from a function
    const DistributedEmbedding<float> layer(
        grid,
        {.name = "tokens", .num_embeddings = V, .embedding_dim = D, .initial = [](const RandomStream& stream, Index i) {
           return i / D < 4 ? 0.0 : 0.02 * stream.normal(i);  // i: the row-major position in the whole table
         }});
    const auto table = DistributedTensor<float>::from_function({grid, {V, D}, {Replicate{}, Shard{0}, Shard{1}}},
                                                               [](auto i) { return 100.0 * i[0] + i[1]; });
    const DistributedEmbedding<float> counted(grid, table, {.name = "counted"});
    // docs: end
    const RandomStream stream(0, "tokens.weight");
    std::vector<float> drawn;
    for (Index i = 0; i < V * D; ++i) drawn.push_back(i / D < 4 ? 0.0F : static_cast<float>(0.02 * stream.normal(i)));
    CHECK(same_bits(layer.weight().value(), drawn));
    CHECK(same_bits(counted.weight().value(), expected));
  }
  SECTION("from another grid, in the middle of training") {
    const EmbeddingLayerOptions how{.name = "tokens", .num_embeddings = V, .embedding_dim = D, .padding_idx = 2};
    const DistributedEmbedding<float> old_layer(grid, how);
    const DistributedEmbedding<float> unmoved(grid, how);
    Adagrad<float> old_adagrad(old_layer.parameters(), {.learning_rate = 0.1});
    Adagrad<float> unmoved_adagrad(unmoved.parameters(), {.learning_rate = 0.1});
    for (int step = 0; step < 3; ++step) {
      train(old_layer, old_adagrad);
      train(unmoved, unmoved_adagrad);
    }
    // docs: to another grid
    const DistributedEmbedding<float> layer(other_grid, old_layer.weight().value(), old_layer.options());
    Adagrad<float> adagrad(layer.parameters(), {.learning_rate = 0.1});
    redistribute_into(old_adagrad.sums()[0], adagrad.sums()[0]);  // the state goes where its parameter went
    // docs: end
    for (int step = 0; step < 3; ++step) {
      train(layer, adagrad);
      train(unmoved, unmoved_adagrad);
    }
    const auto whole = unmoved.weight().value().full_tensor();
    CHECK(same_bits(layer.weight().value(), std::vector<float>(whole.span().begin(), whole.span().end())));
  }
  SECTION("into a layer that exists") {
    const DistributedEmbedding<float> layer(grid, {.name = "tokens", .num_embeddings = V, .embedding_dim = D});
    const auto table =
        DistributedTensor<float>::from_function({other_grid, {V, D}, {Replicate{}, Shard{0}, Shard{1}}}, number);
    // docs: into a layer that exists
    layer.parameter("tokens.weight").assign(table);  // of any distribution, on any grid with a common root
    // docs: end
    CHECK(same_bits(layer.weight().value(), expected));
  }
  SECTION("without a grid") {
    const auto ids = ids_of<Index>({4}, {3, 0, 3, 7});
    const auto weight = everything.clone();
    const Tensor<float> upstream({4, D}, 1.0F);
    const auto communicator = world.communicator();
    const auto shard = Decomposition::balanced(V, world.size()).block(world.rank());
    const auto weight_shard = Tensor<float>::from(
        {shard.extent(), D}, std::span(expected).subspan(static_cast<std::size_t>(shard.begin * D),
                                                         static_cast<std::size_t>(shard.extent() * D)));
    // docs: plain tensors
    const Tensor<float> rows = functional::embedding(ids, weight);
    const Tensor<float> gradient = functional::embedding_dense_backward(ids, upstream, V, {.padding_idx = 0});
    const auto [touched, values] = functional::embedding_sparse_backward(ids, upstream, V, {.padding_idx = 0});
    // docs: tensor parallel
    const TensorParallelEmbedding<float> lookup(weight_shard,
                                                {.tp_group = communicator, .sharding_dim = 0, .num_embeddings = V});
    const Tensor<float> same_rows = lookup(ids);
    // docs: end
    CHECK(same_bits(same_rows, std::vector<float>(rows.span().begin(), rows.span().end())));
    CHECK(rows[0] == 300);
    CHECK(touched == std::vector<Index>{3, 7});
    CHECK(values[0] == 2);
    CHECK(gradient[3 * D] == 2);
    CHECK(gradient[0] == 0);
  }
}

TEST_CASE("a layer is made from any other's table, and any table is loaded into any layer") {
  const auto expected = numbers();
  const auto all = grids();
  for (const auto& from : all) {
    for (const auto& storage : storages()) {
      const DistributedEmbedding<float> source(
          from, DistributedTensor<float>::from_function({from, {V, D}, {Shard{1}, Replicate{}, Shard{0}}}, number),
          {.name = "source", .storage = storage});
      REQUIRE(same_bits(source.weight().value(), expected));
      const auto whole = source.weight().value().full_tensor();
      CHECK(same_bits(whole, from.active() ? expected : std::vector<float>{}));
      CHECK(same_bits(source.weight().value().to_root(), from.rank() == 0 ? expected : std::vector<float>{}));
      for (std::size_t i = 0; i < all.size(); ++i) {
        const auto& to = all[i];
        INFO(source.weight().distribution().to_string() << " to " << to.grid().shape().to_string());
        const auto other = storages()[i % 3];
        const DistributedEmbedding<float> made(to, source.weight().value(), {.name = "made", .storage = other});
        CHECK(same_bits(made.weight().value(), expected));

        const DistributedEmbedding<float> loaded(
            to, {.name = "loaded", .num_embeddings = V, .embedding_dim = D, .storage = other});
        const auto ids = placed_ids<Index>(loaded.input_distribution({5}), {4, 0, 10, 4, 3});
        loaded(ids);  // what it keeps of the old table must not come back
        auto weight = loaded.parameter("loaded.weight");
        const auto placed = weight.distribution();
        const auto version = weight.value().version();
        weight.assign(source.weight().value());
        CHECK(same_bits(loaded.weight().value(), expected));
        CHECK(weight.distribution() == placed);
        CHECK(weight.value().version() > version);
        std::vector<float> rows;
        for (const Index id : {4, 0, 10, 4, 3}) {
          for (Index c = 0; c < D; ++c) rows.push_back(static_cast<float>(100 * id + c));
        }
        CHECK(same_bits(whole_rows(loaded(ids)), rows));
      }
    }
  }
}

TEST_CASE("an assignment copies, and refuses what it cannot take on every rank") {
  const int n = world().size();
  const Partition all(world());
  const auto grid = all.cartesian({1, n, 1});
  const DistributedEmbedding<float> layer(grid, {.name = "a", .num_embeddings = V, .embedding_dim = D});
  auto weight = layer.weight();
  auto table = DistributedTensor<float>::from_function(weight.distribution(), number);
  weight.assign(table);
  table.modify([](Tensor<float>& out) { out.fill(-1); });
  CHECK(same_bits(weight.value(), numbers()));

  SameTexts texts;
  const auto refused = [&](const DistributedTensor<float>& source) { return texts.of([&] { weight.assign(source); }); };
  CHECK(contains(refused(DistributedTensor<float>::zeros({grid, {V, D + 1}, {Replicate{}, Shard{0}, Shard{1}}})),
                 "(11, 7) cannot take the shape (11, 6)"));
  const Partition alone(world().split(world().rank(), 0, "alone"));
  const auto apart = refused(DistributedTensor<float>::zeros({alone.cartesian({1}), {V, D}, {Replicate{}}}));
  CHECK(contains(apart, n > 1 ? "without a common root" : "no error"));
  CHECK(refused(weight.value()) == "no error");
  CHECK(refused(DistributedTensor<float>()) != "no error");
  texts.verify();
  if (n > 1) CHECK(same_bits(weight.value(), numbers()));

  // Elements of its own, on one rank only.
  const auto line = all.cartesian({n});
  auto copied = Variable<float>::parameter("copied", DistributedTensor<float>::constant({line, {V}, {Replicate{}}}, 3));
  const Distribution root(line, {V}, {Root{}});
  const auto own = world().rank() == 0 ? copied.value().local() : Tensor<float>(Shape{0});
  copied.assign(DistributedTensor<float>::from_local(root, own));
  for (const float x : copied.value().local().span()) CHECK(x == 3);

  GradientTape tape;
  const auto loss = sum(weight * weight);
  weight.assign(table);
  CHECK(contains(error_text([&] { tape.backward(loss); }), "was modified between"));
}

TEST_CASE("training that moves between grids goes on as if it had not moved") {
  const auto batch = some_ids(24, V);
  for (const auto& storage : storages()) {
    const EmbeddingLayerOptions how{.name = "tokens",
                                    .num_embeddings = V,
                                    .embedding_dim = D,
                                    .padding_idx = -1,
                                    .sparse = true,
                                    .storage = storage};
    const AdagradOptions rate{.learning_rate = 0.1, .initial_accumulator = 0.1};
    const auto train = [&](const DistributedEmbedding<double>& layer, Adagrad<double>& adagrad) {
      const auto ids = placed_ids<std::int32_t>(layer.input_distribution({24}), batch);
      GradientTape tape;
      const auto y = layer(ids);
      tape.backward(sum(y * y));
      adagrad.step();
      adagrad.clear_gradients();
    };
    const auto one = Partition(world()).first(1).cartesian({1, 1, 1});
    const DistributedEmbedding<double> reference(one, how);
    Adagrad<double> reference_adagrad(reference.parameters(), rate);

    const auto stations = grids();
    auto layer = std::make_unique<DistributedEmbedding<double>>(stations.front(), how);
    auto adagrad = std::make_unique<Adagrad<double>>(layer->parameters(), rate);
    for (const auto& grid : stations) {
      auto next = std::make_unique<DistributedEmbedding<double>>(grid, layer->weight().value(), layer->options());
      auto next_adagrad = std::make_unique<Adagrad<double>>(next->parameters(), rate);
      redistribute_into(adagrad->sums()[0], next_adagrad->sums()[0]);
      layer = std::move(next);
      adagrad = std::move(next_adagrad);
      train(*layer, *adagrad);
      train(reference, reference_adagrad);
    }
    const auto close = [](const Tensor<double>& a, const Tensor<double>& b) {
      return std::ranges::equal(a.span(), b.span(), [](double x, double y) { return std::abs(x - y) <= 1e-12; });
    };
    const Distribution everywhere(Partition(world()).cartesian({world().size()}), {V, D}, {Replicate{}});
    const auto on_all = [&](const DistributedTensor<double>& x) { return redistribute(x, everywhere).local(); };
    CHECK(close(on_all(layer->weight().value()), on_all(reference.weight().value())));
    CHECK(close(on_all(adagrad->sums()[0]), on_all(reference_adagrad.sums()[0])));
  }
}

}  // namespace
}  // namespace tartan
