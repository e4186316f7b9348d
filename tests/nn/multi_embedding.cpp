// DistributedMultiEmbedding: against plain loops over whole tables, and against a layer for each table, on every grid.

#include <tartan/nn/multi_embedding.hpp>

#include <numeric>

#include <tartan/comm/agreement.hpp>
#include <tartan/optim/optimizer.hpp>

#include "nn/multi.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Options that mean something, alone and together; tables are put in later.
const std::vector<MultiEmbeddingLayerOptions>& option_sets() {
  static const std::vector<MultiEmbeddingLayerOptions> sets{
      {},
      {.sparse = true},
      {.scale_grad_by_freq = true},
      {.max_norm = 2.5, .scale_grad_by_freq = true, .sparse = true},
      {.max_norm = 1.25, .norm_type = infinity},
      {.max_norm = 4, .norm_type = 1, .sparse = true},
  };
  return sets;
}

/// Two calls with other ids, and their gradients added, against plain loops.
template <class T, class I>
void check_layer(const CartesianTopology& topology, const MultiEmbeddingLayerOptions& options,
                 const Distribution& placed) {
  const DistributedMultiEmbedding<T> layer(topology, options);
  auto tables = whole_tables<T>(options);
  const auto count = placed.shape().elements() / std::ssize(tables);
  INFO("ids " << placed.to_string() << ", storage " << options.storage.to_string() << ", output "
              << options.output.to_string() << ", exchange " << static_cast<int>(options.exchange) << ", ΣD "
              << total(options.embedding_dim));

  const auto& grid = topology.grid();
  const bool split = grid.extent(0) > 1 && placed.placement(0).is_shard();
  const bool whole_norms = !options.max_norm || std::isinf(options.norm_type) || grid.extent(2) == 1;
  const auto equal = [&](const DistributedTensor<T>& tensor, const std::vector<T>& expected) {
    return whole_norms ? same_bits(tensor, expected) : same_numbers(tensor, expected);
  };

  std::vector<TableGradient<T>> gradients;
  for (const Index step : {1, 5}) {
    const auto ids = many_ids(count, options.num_embeddings, step);
    for (std::size_t f = 0; f < tables.size(); ++f) {
      if (options.max_norm) renormalize(tables[f], column(ids, tables.size(), f), *options.max_norm, options.norm_type);
    }
    const auto expected = side_by_side(tables, ids);
    const auto upstream = some_upstream<T>(std::ssize(expected));
    GradientTape tape;
    const auto y = layer(placed_ids<I>(placed, ids));
    CHECK(y.distribution().placement(1) == options.output);
    CHECK(!y.distribution().blocks(2));
    CHECK(equal(whole_rows(y), expected));
    tape.backward(loss_of(y, upstream));
    for (std::size_t f = 0; f < tables.size(); ++f) {
      const auto mine = column(ids, tables.size(), f);
      auto part = columns_of_table(upstream, options.embedding_dim, f);
      if (options.scale_grad_by_freq) part = divided_by_counts(mine, std::move(part), tables[f].columns);
      const auto padding = options.padding_idx.empty() ? std::nullopt : options.padding_idx[f];
      const TableGradient<T> more(mine, part, tables[f].rows, tables[f].columns,
                                  padding ? (*padding + tables[f].rows) % tables[f].rows : -1);
      if (step == 1) {
        gradients.push_back(more);
      } else {
        gradients[f] = added(gradients[f], more);
      }
    }
  }
  REQUIRE(layer.parameters().size() == tables.size());
  for (std::size_t f = 0; f < tables.size(); ++f) {
    INFO("table " << f << ": " << layer.weights()[f].distribution().to_string());
    const auto& weight = layer.parameters()[f];
    CHECK(weight.name() == options.name + "." + std::to_string(f) + ".weight");
    CHECK(equal(weight.value(), tables[f].values));
    REQUIRE(weight.has_gradient());
    CHECK(std::holds_alternative<RowSparse<T>>(weight.gradient()) == options.sparse);
    CHECK(weight.dense_gradient().distribution() == weight.distribution());
    CHECK(matches(weight.dense_gradient(), gradients[f], !split));
  }
}

/// The tables, the shape of the ids and the output take turns.
template <class T>
void check_turn(const CartesianTopology& topology, MultiEmbeddingLayerOptions options, int turn) {
  static const std::vector<std::vector<Index>> widths{{9, 1, 70, 3}, {2, 1}, {1}, {33, 5, 64, 7, 31, 1}, {4, 4, 4, 4}};
  static const std::vector<Shape> shapes{{11}, {4, 3}, {}, {2, 3, 2}, {0}, {1}, {5, 2}};
  const auto pick = [turn](const auto& list) { return list[static_cast<std::size_t>(turn) % list.size()]; };
  options.name = "tables " + std::to_string(turn % 5);
  options.embedding_dim = pick(widths);
  const auto tables = std::ssize(options.embedding_dim);
  for (Index f = 0; f < tables; ++f) {
    options.num_embeddings.push_back(std::vector<Index>{13, 2, 40, 1}[static_cast<std::size_t>(f) % 4]);
    if (turn % 3 == 0) options.padding_idx.push_back(f % 3 == 1 ? std::nullopt : std::optional<Index>(-(f % 2)));
  }
  const auto shape = pick(shapes).appended(tables);
  options.output = pick(outputs(shape.dimensions()));
  Placements placements(3, Replicate{});
  if (shape.dimensions() > 1 && turn % 5 != 0) placements[0] = Shard{turn % 5 == 1 ? shape.dimensions() - 2 : 0};
  const Distribution placed(topology, shape, placements);
  turn % 2 == 0 ? check_layer<T, std::int32_t>(topology, options, placed)
                : check_layer<T, std::int64_t>(topology, options, placed);
}

TEST_CASE("many tables on every grid, from every storage, whatever moves") {
  int turn = 0;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      for (const auto exchange : exchanges()) {
        for (auto options : option_sets()) {
          options.storage = storage;
          options.exchange = exchange;
          check_turn<float>(topology, options, ++turn);
        }
      }
    }
  }
}

TEST_CASE("many tables in double, with an inactive rank") {
  if (world().size() == 1) return;
  int turn = 0;
  const int n = world().size() - 1;
  for (const auto& grid : factorisations(n, 3)) {
    const auto topology = Partition(world()).first(n).cartesian(grid);
    for (auto options : option_sets()) {
      ++turn;
      options.storage = storages()[static_cast<std::size_t>(turn) % 3];
      options.exchange = exchanges()[static_cast<std::size_t>(turn / 3) % 3];
      check_turn<double>(topology, options, turn);
    }
  }
}

/// Collective. The whole tensor, as every rank knows it.
template <class T>
std::vector<T> whole(const DistributedTensor<T>& tensor) {
  const auto full = tensor.full_tensor();
  return {full.span().begin(), full.span().end()};
}

TEST_CASE("many tables are layers of their own, also after steps of optimisers") {
  const MultiEmbeddingLayerOptions tables{.name = "features",
                                          .num_embeddings = {13, 2, 40, 5},
                                          .embedding_dim = {9, 1, 70, 3},
                                          .padding_idx = {3, std::nullopt, -1, std::nullopt}};
  int turn = 0;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      for (const bool sparse : {false, true}) {
        auto options = tables;
        options.storage = storage;
        options.sparse = sparse;
        options.exchange = exchanges()[static_cast<std::size_t>(turn++) % 3];
        const DistributedMultiEmbedding<float> layer(topology, options);
        std::vector<DistributedEmbedding<float>> apart;
        std::vector<Variable<float>> theirs;
        for (std::size_t f = 0; f < 4; ++f) {
          apart.emplace_back(topology, of_table(options, f));
          theirs.push_back(apart.back().weight());
          CHECK(theirs[f].name() == layer.parameters()[f].name());
        }
        Adam<float> adam(layer.parameters()), adam_apart(theirs);
        Adagrad<float> adagrad(layer.parameters()), adagrad_apart(theirs);
        RowwiseAdagrad<float> rowwise(layer.parameters()), rowwise_apart(theirs);
        const auto ids = many_ids(12, options.num_embeddings);
        const auto upstream = some_upstream<float>(12 * 83);
        const auto placed = layer.input_distribution({12, 4});
        GradientTape tape;
        const auto y = layer(placed_ids<Index>(placed, ids));
        const auto out = whole(y.value());
        tape.backward(loss_of(y, upstream));
        const bool split = grid[0] > 1;
        for (std::size_t f = 0; f < 4; ++f) {
          GradientTape alone;
          const auto mine = apart[f](placed_ids<Index>(apart[f].input_distribution({12}), column(ids, 4, f)));
          CHECK(whole(mine.value()) == columns_of_table(out, options.embedding_dim, f));
          alone.backward(loss_of(mine, columns_of_table(upstream, options.embedding_dim, f)));
          const auto expected = whole(theirs[f].dense_gradient());
          if (!split) CHECK(same_bits(layer.weights()[f].dense_gradient(), expected));
        }
        const auto step = [&](auto& optimizer, auto& optimizer_apart, bool exact) {
          optimizer.step();
          optimizer_apart.step();
          for (std::size_t f = 0; f < 4; ++f) {
            const auto expected = whole(theirs[f].value());
            const auto bound = split ? 1e-4F : exact ? 0.0F : 1e-6F;
            const auto got = whole(layer.weights()[f].value());
            for (std::size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - expected[i]) <= bound);
          }
        };
        step(adagrad, adagrad_apart, true);
        step(adam, adam_apart, true);
        step(rowwise, rowwise_apart, grid[2] == 1);  // a mean over split columns is a sum of sums
      }
    }
  }
}

TEST_CASE("a bad id among many is an error on every rank that names its table, before any row is renormalised") {
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto exchange : exchanges()) {
      const MultiEmbeddingLayerOptions options{.num_embeddings = {13, 2, 40},
                                               .embedding_dim = {3, 4, 5},
                                               .max_norm = 0.5,
                                               .norm_type = infinity,
                                               .exchange = exchange};
      const DistributedMultiEmbedding<float> layer(topology, options);
      auto tables = whole_tables<float>(options);
      const auto placed = layer.input_distribution({8, 3});
      for (Index place = 0; place < 24; place += grid[0] == 1 ? 7 : 1) {
        auto ids = many_ids(8, options.num_embeddings);
        const auto table = static_cast<std::size_t>(place % 3);
        const Index rows = options.num_embeddings[table];
        const Index bad = place % 2 == 0 ? rows : -1;
        ids[static_cast<std::size_t>(place)] = bad;
        const auto batch = placed_ids<std::int32_t>(placed, ids);
        const bool culprit = placed.box(topology.rank())[0].contains(place / 3);
        bool remote = false;
        std::string text = "no error";
        try {
          layer(batch);
        } catch (const RemoteError& error) {
          remote = true;
          text = error.text();
        } catch (const Error& error) {
          text = error.what();
        }
        CHECK(remote == !culprit);
        const int rank =
            culprit ? world().rank()
                    : topology.grid().moved(world().rank(), 0, placed.owner({{place / 3, 0}}) / (grid[1] * grid[2]));
        CHECK(text == "id " + std::to_string(bad) + " at position (" + std::to_string(place / 3) + ", " +
                          std::to_string(table) + ") of the ids on rank " + std::to_string(rank) +
                          " is out of range: table " + std::to_string(table) + " has " + std::to_string(rows) +
                          " rows, so ids are 0 to " + std::to_string(rows - 1));
        for (std::size_t f = 0; f < 3; ++f) CHECK(same_bits(layer.weights()[f].value(), tables[f].values));
      }
      const auto ids = many_ids(8, options.num_embeddings);
      for (std::size_t f = 0; f < 3; ++f) renormalize(tables[f], column(ids, 3, f), 0.5, infinity);
      CHECK(same_bits(whole_rows(layer(placed_ids<Index>(placed, ids))), side_by_side(tables, ids)));
    }
  }
}

TEST_CASE("reproducible tables have the same bits on every grid, after steps with max_norm and row-wise Adagrad") {
  const std::vector<Shape> grids{{1, 1, 1}, {2, 1, 2}, {4, 1, 1}, {1, 4, 1}, {2, 2, 2}, {1, 1, 4}, {1, 2, 3}};
  for (const auto& storage : storages()) {
    for (const bool sparse : {false, true}) {
      std::vector<std::vector<float>> expected;  // outputs and tables on one rank, which is rank 0
      for (const auto& grid : grids) {
        if (grid.elements() > world().size()) continue;
        const auto topology = Partition(world()).first(static_cast<int>(grid.elements())).cartesian(grid);
        const DistributedMultiEmbedding<float> layer(topology,
                                                     {.num_embeddings = {13, 2, 40},
                                                      .embedding_dim = {33, 70, 5},
                                                      .max_norm = 5,
                                                      .scale_grad_by_freq = true,
                                                      .sparse = sparse,
                                                      .reproducible = true,
                                                      .storage = storage,
                                                      .exchange = exchanges()[static_cast<std::size_t>(grid[1] % 3)]});
        RowwiseAdagrad<float> optimizer(layer.parameters(), {.learning_rate = 0.5, .reproducible = true});
        std::vector<std::vector<float>> found;
        for (const Index step : {1, 2, 3}) {
          const auto ids = many_ids(70, {13, 2, 40}, step);
          GradientTape tape;
          const auto y = layer(placed_ids<Index>(layer.input_distribution({70, 3}), ids));
          found.push_back(whole(y.value()));
          tape.backward(loss_of(y, some_upstream<float>(70 * 108)));
          optimizer.step();
          optimizer.clear_gradients();
        }
        for (const auto& weight : layer.weights()) found.push_back(whole(weight.value()));
        if (expected.empty()) expected = found;
        INFO("on " << grid.to_string() << " from " << storage.to_string());
        if (world().rank() == 0) CHECK(found == expected);
      }
    }
  }
}

}  // namespace
}  // namespace tartan
