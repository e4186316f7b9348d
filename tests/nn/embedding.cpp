// DistributedEmbedding on every grid against plain loops over the whole table.

#include <tartan/nn/embedding.hpp>

#include <tartan/comm/agreement.hpp>
#include <tartan/comm/recorder.hpp>

#include "nn/oracle.hpp"
#include "support/error_text.hpp"
#include "support/pmpi.hpp"

namespace tartan {
namespace {

using namespace testing;

/// One call and its gradient. Where the ids are sharded over several data ranks a sum is split.
template <class T, class I>
void check_call(const DistributedEmbedding<T>& layer, const Distribution& ids_placed) {
  const auto& options = layer.options();
  const Table<T> table(options);
  const auto ids = some_ids(ids_placed.shape().elements(), options.num_embeddings);
  const auto placed = placed_ids<I>(ids_placed, ids);
  const auto expected = table.looked_up(ids);
  INFO("ids " << ids_placed.to_string() << ", weight " << layer.weight().distribution().to_string() << ", output "
              << options.output.to_string());

  const auto check_value = [&](const Variable<T>& y) {
    CHECK(y.shape() == ids_placed.shape().appended(options.embedding_dim));
    if (layer.axes().rows) {
      const int rows = *layer.axes().rows;
      CHECK(y.distribution().placement(rows) == options.output);
      CHECK(same_bits(redistribute(y.value(), y.distribution().with(rows, Replicate{})), expected));
    }
    if (!y.distribution().any(Placement::Kind::partial)) CHECK(same_bits(y.value(), expected));
  };

  const auto untaped = layer(placed);
  CHECK(!untaped.requires_gradient());
  check_value(untaped);

  const auto upstream = some_upstream<T>(std::ssize(expected));
  auto weight = layer.weight();
  weight.clear_gradient();
  GradientTape tape;
  const auto y = layer(placed);
  check_value(y);
  tape.backward(loss_of(y, upstream));

  const auto& stored = weight.distribution();
  const bool split = layer.axes().data && ids_placed.placement(*layer.axes().data).is_shard() &&
                     ids_placed.grid().extent(*layer.axes().data) > 1;
  const TableGradient<T> gradient(ids, upstream, table.rows, table.columns, options.padding_idx.value_or(-1));
  REQUIRE(weight.has_gradient());
  CHECK(weight.dense_gradient().distribution() == stored);
  CHECK(matches(weight.dense_gradient(), gradient, !split));

  const auto* sparse = std::get_if<RowSparse<T>>(&weight.gradient());
  CHECK((sparse != nullptr) == options.sparse);
  if (sparse != nullptr) {
    const auto rows = weight.value().box()[0];
    std::vector<Index> mine;
    for (const Index row : gradient.rows) {
      if (rows.begin <= row && row < rows.end) mine.push_back(row);
    }
    CHECK(sparse->rows == mine);
  }
}

const std::vector<Shape>& id_shapes() {
  static const std::vector<Shape> shapes{{}, {11}, {4, 3}, {2, 3, 2}, {0}, {3, 0}};
  return shapes;
}

/// Collective. One grid with every storage, output and shape of ids; the other options take turns.
template <class T>
void check_grid(const CartesianTopology& topology, int& turn) {
  for (const auto& storage : storages()) {
    for (const auto& output : outputs(4)) {
      ++turn;
      EmbeddingLayerOptions options{.name = "table " + std::to_string(turn % 5),
                                    .num_embeddings = turn % 3 == 0 ? 2 : 13,
                                    .embedding_dim = turn % 4 == 0 ? 3 : 9,
                                    .sparse = turn % 2 == 0,
                                    .seed = static_cast<std::uint64_t>(turn % 7),
                                    .storage = storage,
                                    .output = output,
                                    .exchange = Exchange::table};
      if (turn % 5 < 3) options.padding_idx = turn % 5 - 2;
      const DistributedEmbedding<T> layer(topology, options);
      CHECK(same_bits(layer.weight().value(), Table<T>(options).values));
      for (const auto& shape : id_shapes()) {
        if (output.is_shard() && output.dim() > shape.dimensions()) continue;
        auto placed = layer.input_distribution(shape);
        if (++turn % 4 == 0) placed = placed.with(0, Replicate{});
        turn % 3 == 0 ? check_call<T, std::int32_t>(layer, placed) : check_call<T, std::int64_t>(layer, placed);
      }
    }
  }
}

TEST_CASE("lookups and gradients on every data x rows x columns grid, storage and output") {
  int turn = 0;
  for (const auto& grid : factorisations(world().size(), 3)) {
    check_grid<float>(Partition(world()).cartesian(grid), turn);
  }
}

TEST_CASE("lookups and gradients in double, with an inactive rank") {
  if (world().size() == 1) return;
  int turn = 1;
  const int n = world().size() - 1;
  const auto grids = factorisations(n, 3);
  for (std::size_t i = 0; i < grids.size(); i += 2) {
    check_grid<double>(Partition(world()).first(n).cartesian(grids[i]), turn);
  }
}

TEST_CASE("axes in another order, left out, or more than the layer names") {
  const int n = world().size();
  const Partition all(world());
  struct Named {
    Shape grid;
    EmbeddingAxes axes;
  };
  const int two = n % 2 == 0 ? 2 : 1;
  for (const auto& [grid, axes] : std::vector<Named>{{{n}, {.rows = 0}},
                                                     {{n}, {.columns = 0}},
                                                     {{n}, {.data = 0}},
                                                     {{n}, {}},
                                                     {{n / two, two}, {.data = 1, .rows = 0}},
                                                     {{n / two, two}, {.rows = 1, .columns = 0}},
                                                     {{n / two, two, 1}, {.data = 2, .rows = 1, .columns = 0}},
                                                     {{1, two, 1, n / two}, {.data = 3, .rows = 1}}}) {
    const auto topology = all.cartesian(grid);
    for (const auto& storage : storages()) {
      const DistributedEmbedding<float> layer(topology, {.name = "named",
                                                         .num_embeddings = 13,
                                                         .embedding_dim = 5,
                                                         .padding_idx = -1,
                                                         .axes = axes,
                                                         .storage = storage,
                                                         .output = Shard{0}});
      for (const Shape& shape : {Shape{11}, Shape{4, 3}}) {
        check_call<float, std::int64_t>(layer, layer.input_distribution(shape));
      }
      CHECK(layer.input_distribution({11}).any(Placement::Kind::shard) == axes.data.has_value());
    }
  }
}

TEST_CASE("a hot row of thousands of hits is folded as on one rank") {
  const std::vector<Index> ids = [] {
    std::vector<Index> list(5003, 2);
    for (std::size_t i = 0; i < list.size(); i += 17) list[i] = static_cast<Index>(i) % 4;
    return list;
  }();
  for (const auto& grid : factorisations(world().size(), 3)) {
    const DistributedEmbedding<float> layer(Partition(world()).cartesian(grid),
                                            {.num_embeddings = 4, .embedding_dim = 3, .sparse = grid[1] > 1});
    const auto upstream = some_upstream<float>(std::ssize(ids) * 3);
    GradientTape tape;
    const auto y = layer(placed_ids<std::int32_t>(layer.input_distribution({std::ssize(ids)}), ids));
    tape.backward(loss_of(y, upstream));
    CHECK(matches(layer.weight().dense_gradient(), TableGradient<float>(ids, upstream, 4, 3), grid[0] == 1));
  }
}

TEST_CASE("what is not finite in one row stays there, and -0.0 stays -0.0") {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& grid : factorisations(world().size(), 3)) {
    for (const auto& output : outputs(2)) {
      const DistributedEmbedding<float> layer(Partition(world()).cartesian(grid),
                                              {.num_embeddings = 9, .embedding_dim = 4, .output = output});
      std::vector<float> table;
      for (Index i = 0; i < 36; ++i) {
        const Index row = i / 4;
        table.push_back(row == 1 ? nan : row == 4 ? -infinity : row == 6 ? -0.0F : static_cast<float>(i));
      }
      auto weight = layer.weight();
      weight.modify([&](Tensor<float>& out) { std::ranges::copy(held(weight.distribution(), table), out.data()); });

      const std::vector<Index> ids{0, 1, 2, 6, 4, 5, 6, 7, 8, 1, 3};
      auto upstream = some_upstream<float>(std::ssize(ids) * 4);
      for (std::size_t c = 0; c < 4; ++c) upstream[4 * 4 + c] = c % 2 == 0 ? nan : infinity;
      GradientTape tape;
      const auto y = layer(placed_ids<Index>(layer.input_distribution({std::ssize(ids)}), ids));
      const auto whole = redistribute(y.value(), y.distribution().with(1, Replicate{}));
      const auto local = whole.local().span();
      std::vector<float> expected;
      for (const Index id : ids) expected.insert(expected.end(), table.begin() + id * 4, table.begin() + id * 4 + 4);
      const auto mine = held(whole.distribution(), expected);
      REQUIRE(local.size() == mine.size());
      for (std::size_t i = 0; i < mine.size(); ++i) {
        if (std::isnan(mine[i])) {
          CHECK(std::isnan(local[i]));
        } else {
          CHECK(std::memcmp(&local[i], &mine[i], sizeof(float)) == 0);
        }
      }

      tape.backward(loss_of(y, upstream));
      const auto gradient = weight.dense_gradient();
      const TableGradient<float> exact(ids, upstream, 9, 4);
      const auto bound = held(gradient.distribution(), exact.magnitudes);
      const auto values = held(gradient.distribution(), exact.values);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const float g = gradient.local().span()[i];
        if (std::isfinite(values[i])) {
          CHECK(std::abs(g - values[i]) <= 1e-6 * bound[i]);
        } else {
          CHECK(!std::isfinite(g));
        }
      }
    }
  }
}

TEST_CASE("several pending outputs, two tables of other sizes in one backward, and one table twice") {
  for (const auto& grid : factorisations(world().size(), 3)) {
    for (const bool sparse : {false, true}) {
      const auto topology = Partition(world()).cartesian(grid);
      const EmbeddingLayerOptions first{.name = "first",
                                        .num_embeddings = 13,
                                        .embedding_dim = 5,
                                        .sparse = sparse,
                                        .output = Partial{},
                                        .exchange = Exchange::table};
      EmbeddingLayerOptions second = first;
      second.name = "second";
      second.num_embeddings = 29;
      second.embedding_dim = 3;
      second.storage = Shard{0};
      const DistributedEmbedding<double> a(topology, first);
      const DistributedEmbedding<double> b(topology, second);
      const auto ids_a = some_ids(11, 13);
      const auto ids_b = some_ids(6, 29);
      const std::vector<Index> again{12, 0, 5, 5};
      const auto upstream = some_upstream<double>(11 * 5);
      const auto look_up = [](const DistributedEmbedding<double>& layer, const std::vector<Index>& ids) {
        return layer(placed_ids<Index>(layer.input_distribution({std::ssize(ids)}), ids));
      };
      const auto whole = [](const Variable<double>& y) {
        return redistribute(y.value(), y.distribution().with(1, Replicate{}));
      };

      GradientTape tape;
      const auto y_a = look_up(a, ids_a);
      const auto y_b = look_up(b, ids_b);
      const auto y_again = look_up(a, again);
      CHECK(same_bits(whole(y_again), Table<double>(first).looked_up(again)));
      CHECK(same_bits(whole(y_a), Table<double>(first).looked_up(ids_a)));
      CHECK(same_bits(whole(y_b), Table<double>(second).looked_up(ids_b)));
      tape.backward(loss_of(y_a, upstream) + loss_of(y_b, upstream) + loss_of(y_again, upstream));

      // Each lookup's gradient is a fold; those of one table are added.
      TableGradient<double> expected(ids_a, upstream, 13, 5);
      const TableGradient<double> more(again, upstream, 13, 5);
      for (std::size_t i = 0; i < more.values.size(); ++i) {
        expected.values[i] += more.values[i];
        expected.magnitudes[i] += more.magnitudes[i];
      }
      CHECK(matches(a.weight().dense_gradient(), expected, grid[0] == 1));
      CHECK(matches(b.weight().dense_gradient(), TableGradient<double>(ids_b, upstream, 29, 3), grid[0] == 1));
      CHECK(std::holds_alternative<RowSparse<double>>(a.weight().gradient()) == sparse);
      if (const auto* rows = std::get_if<RowSparse<double>>(&a.weight().gradient())) {
        CHECK(std::ranges::adjacent_find(rows->rows, std::ranges::greater_equal{}) == rows->rows.end());
      }
    }
  }
}

TEST_CASE("row-sparse gradients of two passes accumulate; with a dense one they are dense") {
  const auto topology = Partition(world()).cartesian({1, world().size(), 1});
  const DistributedEmbedding<double> layer(topology, {.num_embeddings = 13, .embedding_dim = 5, .sparse = true});
  const auto upstream = some_upstream<double>(11 * 5);
  const auto pass = [&](const std::vector<Index>& ids, bool dense) {
    GradientTape tape;
    auto loss = loss_of(layer(placed_ids<Index>(layer.input_distribution({std::ssize(ids)}), ids)), upstream);
    if (dense) loss = redistribute(loss, sum(layer.weight()).distribution()) + sum(layer.weight());
    tape.backward(loss);
  };
  const auto ids = some_ids(11, 13);
  const std::vector<Index> others{3, 12, 3};
  pass(ids, false);
  pass(others, false);
  TableGradient<double> expected(ids, upstream, 13, 5);
  const TableGradient<double> more(others, upstream, 13, 5);
  for (std::size_t i = 0; i < more.values.size(); ++i) expected.values[i] += more.values[i];
  CHECK(std::holds_alternative<RowSparse<double>>(layer.weight().gradient()));
  CHECK(matches(layer.weight().dense_gradient(), expected, true));

  auto weight = layer.weight();
  weight.clear_gradient();
  pass(others, true);
  CHECK(std::holds_alternative<DistributedTensor<double>>(weight.gradient()));
  auto with_ones = more;
  for (double& value : with_ones.values) value += 1;
  CHECK(matches(weight.dense_gradient(), with_ones, true));
}

TEST_CASE("options out of range are refused on every rank with what they may be") {
  const auto topology = Partition(world()).cartesian({world().size(), 1, 1});
  const auto line = Partition(world()).cartesian({world().size()});
  std::string texts;
  const auto refused = [&](const CartesianTopology& on, const EmbeddingLayerOptions& options) {
    const auto text = error_text([&] { DistributedEmbedding<float>(on, options); });
    texts += text;
    return text;
  };
  EmbeddingLayerOptions good{.name = "tokens", .num_embeddings = 5, .embedding_dim = 2};
  const auto with = [&](auto change) {
    auto options = good;
    change(options);
    return options;
  };
  CHECK(refused(topology, good) == "no error");
  CHECK(contains(refused(topology, with([](auto& o) { o.num_embeddings = 0; })), "not 0 and 2"));
  CHECK(contains(refused(topology, with([](auto& o) { o.embedding_dim = -1; })), "not 5 and -1"));
  CHECK(contains(refused(topology, with([](auto& o) { o.padding_idx = 5; })), "padding_idx 5"));
  CHECK(contains(refused(topology, with([](auto& o) { o.padding_idx = -6; })), "padding_idx -6"));
  CHECK(refused(topology, with([](auto& o) { o.padding_idx = -5; })) == "no error");
  CHECK(contains(refused(topology, with([](auto& o) { o.storage = Partial{}; })), "Partial along the data axis"));
  CHECK(contains(refused(topology, with([](auto& o) { o.storage = Shard{1}; })), "Shard(1) along the data axis"));
  CHECK(contains(refused(topology, with([](auto& o) { o.output = Root{}; })), "output as Root"));
  CHECK(contains(refused(line, good), "needs .axes on a grid of 1 axes"));
  CHECK(contains(refused(line, with([](auto& o) { o.axes = EmbeddingAxes{.rows = 1}; })), "names axis 1"));
  CHECK(contains(refused(line, with([](auto& o) { o.axes = EmbeddingAxes{.rows = -1}; })), "names axis -1"));
  CHECK(contains(refused(line, with([](auto& o) { o.axes = EmbeddingAxes{.data = 0, .rows = 0}; })), "axis 0 twice"));
  CHECK_NOTHROW(same_on_all(world(), "texts of errors", texts));
}

TEST_CASE("a layer names its parameter") {
  const DistributedEmbedding<float> layer(Partition(world()).cartesian({1, 1, world().size()}),
                                          {.name = "tokens", .num_embeddings = 5, .embedding_dim = 2});
  REQUIRE(layer.parameters().size() == 1);
  CHECK(layer.parameters()[0].name() == "tokens.weight");
  CHECK(layer.parameter("tokens.weight").value().local().data() == layer.weight().value().local().data());
  CHECK_THROWS_WITH(layer.parameter("weight"), "no parameter is named 'weight'; there are: tokens.weight");
}

}  // namespace
}  // namespace tartan
