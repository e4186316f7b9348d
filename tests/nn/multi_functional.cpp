// functional::multi_embedding, the blocks of tables side by side, and what is refused.

#include <tartan/comm/agreement.hpp>

#include "nn/multi.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

using Extents = std::vector<std::vector<Index>>;

TEST_CASE("blocks of tables side by side are the balanced split of all columns, or the nearest that cuts no leaf") {
  CHECK(blocks_side_by_side({5}, 2) == Extents{{3, 2}});
  CHECK(blocks_side_by_side({5, 2, 3}, 3) == Extents{{4, 1, 0}, {0, 2, 0}, {0, 0, 3}});
  CHECK(blocks_side_by_side({1, 1}, 4) == Extents{{1, 0, 0, 0}, {0, 1, 0, 0}});
  CHECK(blocks_side_by_side({16, 16, 16}, 2, true) == Extents{{16, 0}, {0, 16}, {0, 16}});
  CHECK(blocks_side_by_side({20, 100, 3}, 3, true) == Extents{{20, 0, 0}, {32, 32, 36}, {0, 0, 3}});
  CHECK(blocks_side_by_side({40}, 4, true) == Extents{{0, 32, 0, 8}});
}

/// The weights of a layer on `topology`, placed as it would store them along the axes of rows and columns.
std::vector<Variable<double>> weights_on(const CartesianTopology& topology, const MultiEmbeddingLayerOptions& options,
                                         Placement data) {
  const auto tables = whole_tables<double>(options);
  const auto extents = blocks_side_by_side(options.embedding_dim, topology.grid().extent(2));
  std::vector<Variable<double>> weights;
  for (std::size_t f = 0; f < tables.size(); ++f) {
    const Distribution d(topology, {tables[f].rows, tables[f].columns}, {data, Shard{0}, Shard{1}},
                         {.nesting = {1, 0, 2}, .block_extents = {{2, extents[f]}}});
    weights.push_back(
        Variable<double>::parameter("w" + std::to_string(f), DistributedTensor<double>::from_function(d, [&](auto i) {
                                      return tables[f].values[static_cast<std::size_t>(d.shape().flat(i))];
                                    })));
  }
  return weights;
}

TEST_CASE("the functional form takes tables as they lie, one of them twice, and constants") {
  const MultiEmbeddingLayerOptions options{.num_embeddings = {13, 2, 13}, .embedding_dim = {9, 1, 9}};
  auto tables = whole_tables<double>(options);
  tables[2] = tables[0];
  const auto ids = many_ids(12, options.num_embeddings);
  const auto expected = side_by_side(tables, ids);
  const auto upstream = some_upstream<double>(std::ssize(expected));
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian({grid[0], grid[1], 1});
    for (const bool by_rows : {false, true}) {
      for (const auto& storage : storages()) {
        if (!by_rows && !storage.is_replicate()) continue;
        auto weights = weights_on(topology, options, storage);
        weights[1] = Variable<double>(weights[1].value());
        weights[2] = weights[0];
        const Distribution placed(topology, {3, 4, 3}, {Shard{1}, Replicate{}, Replicate{}});
        const auto batch = placed_ids<std::int32_t>(placed, ids);
        GradientTape tape;
        const auto y =
            by_rows ? functional::multi_embedding_by_rows(batch, weights) : functional::multi_embedding(batch, weights);
        CHECK(y.distribution().placement(1) == (by_rows ? Placement(Replicate{}) : Placement(Partial{})));
        CHECK(y.shape() == Shape{3, 4, 19});
        CHECK(same_bits(whole_rows(y), expected));
        tape.backward(loss_of(y, upstream));
        auto both =
            TableGradient<double>(column(ids, 3, 0), columns_of_table(upstream, options.embedding_dim, 0), 13, 9);
        both = added(both, TableGradient<double>(column(ids, 3, 2),
                                                 columns_of_table(upstream, options.embedding_dim, 2), 13, 9));
        CHECK(matches(weights[0].dense_gradient(), both, grid[0] == 1));
        CHECK(!weights[1].has_gradient());
      }
    }
  }
}

TEST_CASE("tables and ids that do not fit are refused on every rank, before any row is renormalised") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({1, 1, n});
  const MultiEmbeddingLayerOptions options{.num_embeddings = {13, 2}, .embedding_dim = {5, 4}};
  const auto weights = weights_on(topology, options, Replicate{});
  const auto tables = whole_tables<double>(options);
  std::string texts;
  const auto refused = [&](const auto& call) {
    const auto text = error_text(call);
    texts += text + '\n';
    for (std::size_t f = 0; f < 2; ++f) CHECK(same_bits(weights[f].value(), tables[f].values));
    return text;
  };
  const auto lookup = [&](const Shape& shape, Placements placements, std::vector<Variable<double>> of,
                          functional::MultiEmbeddingOptions how = {}) {
    const auto ids = placed_ids<Index>({topology, shape, placements},
                                       std::vector<Index>(static_cast<std::size_t>(shape.elements()), 1));
    how.max_norm = how.max_norm.value_or(0.25);
    return refused([&] { functional::multi_embedding(ids, of, how); });
  };
  const Placements replicated(3, Replicate{});
  CHECK(contains(lookup({}, replicated, weights), "takes ids (..., F), one for each table, not (): "));
  CHECK(contains(lookup({3, 0}, replicated, weights), "takes ids (..., F), one for each table, not (3, 0): "));
  CHECK(contains(lookup({3, 3}, replicated, weights), "a lookup in 2 tables takes ids (..., 2), not (3, 3): "));
  CHECK(contains(lookup({3, 2}, replicated, {}), "a lookup in 0 tables"));
  CHECK(
      contains(lookup({3, 2}, {Shard{1}, Replicate{}, Replicate{}}, weights), "last dimension is whole on every rank"));
  CHECK(contains(lookup({3, 2}, {Replicate{}, Replicate{}, Shard{0}}, weights), "do not meet"));
  CHECK(contains(lookup({3, 2}, replicated, weights, {.padding_idx = {1}}), "takes none or 2 of padding_idx, not 1"));
  CHECK(contains(lookup({3, 2}, replicated, weights, {.padding_idx = {1, 2}}), "padding_idx 2 is out of range"));
  CHECK(contains(lookup({3, 2}, replicated, weights, {.max_norm = -1}), "max_norm is -1, but must be positive"));
  const auto whole =
      Variable<double>(DistributedTensor<double>::zeros({topology, {2, 4}, {Replicate{}, Replicate{}, Replicate{}}}));
  CHECK(contains(lookup({3, 2}, replicated, {weights[0], whole}), "need to be placed alike"));
  const auto balanced = [&](std::size_t f) {
    return Variable<double>(
        DistributedTensor<double>::zeros({topology, weights[f].shape(), {Replicate{}, Replicate{}, Shard{1}}}));
  };
  const auto apart = lookup({3, 2}, replicated, {balanced(0), balanced(1)}, {.max_norm = 1e9});
  CHECK((n == 1 ? apart == "no error" : contains(apart, "blocks of columns that follow each other")));

  const auto layer = [&](MultiEmbeddingLayerOptions bad) {
    bad.name = "features";
    return refused([&] { DistributedMultiEmbedding<float>(topology, bad); });
  };
  CHECK(layer(options) == "no error");
  CHECK(contains(layer({}), "needs the embedding_dim of at least one table"));
  CHECK(contains(layer({.num_embeddings = {3}, .embedding_dim = {3, 4}}), "has 1 num_embeddings for 2 tables"));
  CHECK(contains(layer({.names = {"a"}, .num_embeddings = {3, 4}, .embedding_dim = {3, 4}}), "has 1 names for 2"));
  CHECK(contains(layer({.names = {"a", "a"}, .num_embeddings = {3, 4}, .embedding_dim = {3, 4}}),
                 "two tables named 'a'"));
  CHECK(contains(layer({.num_embeddings = {3, 4}, .embedding_dim = {3, 4}, .padding_idx = {2}}),
                 "has 1 padding_idx for 2"));
  CHECK(contains(layer({.num_embeddings = {3, 4}, .embedding_dim = {3, 0}}), "has an embedding_dim of 0"));
  CHECK(contains(layer({.num_embeddings = {3, 0}, .embedding_dim = {3, 4}}), "'features.1' needs num_embeddings"));
  CHECK(
      contains(layer({.num_embeddings = {3, 4}, .embedding_dim = {3, 4}, .padding_idx = {2, 4}}), "'features.1' has"));
  CHECK(contains(layer({.num_embeddings = {3}, .embedding_dim = {3}, .axes = EmbeddingAxes{.columns = 7}}),
                 "names axis 7 of a grid of 3 axes"));
  CHECK_NOTHROW(same_on_all(world(), "texts of errors", texts));
}

TEST_CASE("given tables are taken as they are, under their names, and may be frozen") {
  const auto topology = Partition(world()).cartesian({1, 1, world().size()});
  const auto from = Partition(world()).first(1).cartesian({1});
  const std::vector<std::vector<float>> values{some_upstream<float>(13 * 5), some_upstream<float>(2 * 4)};
  const auto given = [&](std::size_t f, const Shape& shape) {
    return DistributedTensor<float>::from_function({from, shape, {Replicate{}}}, [&, shape](auto i) {
      return values[f][static_cast<std::size_t>(shape.flat(i))];
    });
  };
  const std::vector<DistributedTensor<float>> weights{given(0, {13, 5}), given(1, {2, 4})};
  const DistributedMultiEmbedding<float> layer(topology, weights,
                                               {.names = {"site", "device"}, .padding_idx = {0, std::nullopt}});
  CHECK(layer.options().num_embeddings == std::vector<Index>{13, 2});
  CHECK(layer.parameter("site.weight").value().shape() == Shape{13, 5});
  CHECK(same_bits(layer.parameter("device.weight").value(), values[1]));
  CHECK(same_bits(layer.parameter("site.weight").value(), values[0]));
  const DistributedMultiEmbedding<float> frozen(topology, weights, {.freeze = true});
  CHECK(frozen.parameters().empty());
  GradientTape tape;
  CHECK(!frozen(placed_ids<Index>(frozen.input_distribution({2}), {1, 1})).requires_gradient());
  const auto refused = [&](MultiEmbeddingLayerOptions options) {
    return error_text([&] { DistributedMultiEmbedding<float>(topology, weights, options); });
  };
  CHECK(contains(refused({.num_embeddings = {13, 3}}), "is said to be (3, 4) but was given a weight of (2, 4)"));
  CHECK(contains(refused({.embedding_dim = {5, 4, 1}}), "was given 2 weights for 3 tables"));
}

TEST_CASE("a table that stands twice is scaled once where max_norm asks for it") {
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian({grid[0], 1, grid[1]});
    const Distribution d(topology, {4, 2}, {Replicate{}, Replicate{}, Replicate{}});
    const auto weight = Variable<double>::parameter("w", DistributedTensor<double>::constant(d, 3));
    const auto again = Variable<double>::parameter("again", DistributedTensor<double>::constant(d, 3));
    const Distribution placed(topology, {3, 2}, {Shard{0}, Replicate{}, Replicate{}});
    const auto ids = placed_ids<Index>(placed, {0, 0, 1, 2, 2, 2});
    const auto y = functional::multi_embedding(ids, std::vector{weight, weight}, {.max_norm = 1});
    const Distribution column(topology, {3}, {Shard{0}, Replicate{}, Replicate{}});
    functional::embedding(placed_ids<Index>(column, {0, 1, 2}), again, {.max_norm = 1});
    functional::embedding(placed_ids<Index>(column, {0, 2, 2}), again, {.max_norm = 1});
    CHECK(std::ranges::equal(weight.value().local().span(), again.value().local().span()));
    const double scaled = 3 * (1 / (std::sqrt(18.0) + 1e-7));
    for (const double x : y.value().local().span()) CHECK(x == scaled);
  }
}

}  // namespace
}  // namespace tartan
