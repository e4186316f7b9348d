// Every option of an embedding, under every layout, storage and exchange, against plain loops over the whole table.

#include "nn/options.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Options that mean something, alone and together.
const std::vector<EmbeddingLayerOptions>& option_sets() {
  static const std::vector<EmbeddingLayerOptions> sets{
      {},
      {.padding_idx = -2},
      {.padding_idx = 1, .sparse = true},
      {.scale_grad_by_freq = true},
      {.max_norm = 2.5, .scale_grad_by_freq = true, .sparse = true},
      {.padding_idx = 1, .max_norm = 4, .norm_type = 1, .sparse = true},
      {.max_norm = 1.75, .norm_type = 3.5},
      {.padding_idx = 0, .max_norm = 1.25, .norm_type = infinity, .scale_grad_by_freq = true},
  };
  return sets;
}

/// Two calls with other ids, and their gradients added.
template <class T, class I>
void check_layer(const CartesianTopology& topology, const EmbeddingLayerOptions& options, const Distribution& placed) {
  const DistributedEmbedding<T> layer(topology, options);
  const auto weight = layer.weight();
  Table<T> table(options);
  const Index padding = layer.options().padding_idx.value_or(-1);
  INFO("ids " << placed.to_string() << ", weight " << weight.distribution().to_string() << ", exchange "
              << static_cast<int>(options.exchange));

  const auto& grid = topology.grid();
  const bool sharded = grid.extent(0) > 1 && placed.placement(0).is_shard();
  // The norm of a row that is split over columns is a sum of sums.
  const bool whole_norms = !options.max_norm || std::isinf(options.norm_type) || grid.extent(2) == 1;
  const auto equal = [&](const DistributedTensor<T>& tensor, const std::vector<T>& expected) {
    return whole_norms ? same_bits(tensor, expected) : same_numbers(tensor, expected);
  };

  std::optional<TableGradient<T>> gradient;
  for (const Index step : {1, 5}) {
    auto ids = some_ids(placed.shape().elements(), options.num_embeddings);
    for (Index& id : ids) id = (step * id + step / 2) % options.num_embeddings;
    if (options.max_norm) renormalize(table, ids, *options.max_norm, options.norm_type);
    const auto expected = table.looked_up(ids);
    auto upstream = some_upstream<T>(std::ssize(expected));

    GradientTape tape;
    const auto y = layer(placed_ids<I>(placed, ids));
    CHECK(y.distribution().placement(1) == options.output);
    CHECK(equal(whole_rows(y), expected));
    tape.backward(loss_of(y, upstream));

    if (options.scale_grad_by_freq) upstream = divided_by_counts(ids, std::move(upstream), table.columns);
    const TableGradient<T> more(ids, upstream, table.rows, table.columns, padding);
    gradient = gradient ? added(*gradient, more) : more;
  }
  CHECK(equal(weight.value(), table.values));
  REQUIRE(weight.has_gradient());
  CHECK(weight.dense_gradient().distribution() == weight.distribution());
  CHECK(matches(weight.dense_gradient(), *gradient, !sharded));

  const auto* sparse = std::get_if<RowSparse<T>>(&weight.gradient());
  REQUIRE((sparse != nullptr) == options.sparse);
  if (sparse != nullptr) {
    std::vector<Index> mine;
    const auto box = weight.value().box();
    for (const Index row : gradient->rows) {
      if (box[0].contains(row)) mine.push_back(row);
    }
    CHECK(sparse->rows == mine);
    CHECK(std::ranges::find(sparse->rows, padding) == sparse->rows.end());
  }
}

/// Ids on the data axis: split on the first dimension mostly, or on the last, or not at all.
Distribution placed_batch(const CartesianTopology& topology, const Shape& shape, int turn) {
  Placements placements(3, Replicate{});
  if (shape.dimensions() > 0 && turn % 5 != 0) placements[0] = Shard{turn % 5 == 1 ? -1 : 0};
  return {topology, shape, placements};
}

template <class T>
void check_turn(const CartesianTopology& topology, EmbeddingLayerOptions options, int turn) {
  static const std::vector<Shape> shapes{{11}, {4, 3}, {}, {2, 3, 2}, {0}, {1}, {5, 2}};
  const auto& shape = shapes[static_cast<std::size_t>(turn) % shapes.size()];
  const auto results = outputs(shape.dimensions() + 1);
  options.name = "table " + std::to_string(turn % 5);
  options.num_embeddings = turn % 3 == 0 ? 2 : 13;
  options.embedding_dim = turn % 3 == 0 ? 3 : 9;
  options.output = results[static_cast<std::size_t>(turn) % results.size()];
  const auto placed = placed_batch(topology, shape, turn);
  turn % 2 == 0 ? check_layer<T, std::int32_t>(topology, options, placed)
                : check_layer<T, std::int64_t>(topology, options, placed);
}

TEST_CASE("every option on every grid, from every storage, whatever moves") {
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

TEST_CASE("every option in double, with an inactive rank") {
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

TEST_CASE("max_norm scales a row of the batch once, however many ranks look it up, and no other") {
  for (const auto& grid : factorisations(world().size(), 3)) {
    for (const auto exchange : exchanges()) {
      for (const auto& storage : storages()) {
        // Row r is r + 1 everywhere: its maximum is r + 1 on every block.
        const DistributedEmbedding<double> layer(Partition(world()).cartesian(grid),
                                                 {.num_embeddings = 9,
                                                  .embedding_dim = 5,
                                                  .max_norm = 4,
                                                  .norm_type = infinity,
                                                  .initial = [](const RandomStream&, Index i) { return i / 5 + 1.0; },
                                                  .storage = storage,
                                                  .exchange = exchange});
        const std::vector<Index> ids{6, 6, 1, 6, 3, 6, 6, 8, 6, 6, 6, 6};
        layer(placed_ids<Index>(layer.input_distribution({12}), ids));
        std::vector<double> expected;
        for (Index i = 0; i < 45; ++i) {
          const auto w = static_cast<double>(i / 5 + 1);
          expected.push_back(i / 5 == 6 || i / 5 == 8 ? w * (4 / (w + 1e-7)) : w);
        }
        CHECK(same_bits(layer.weight().value(), expected));
      }
    }
  }
}

TEST_CASE("rows are renormalised wherever the weight and the ids are") {
  const auto ids = some_ids(7, 13);
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& placements : all_placements(2, 2)) {
      const Distribution d(topology, {13, 3}, placements);
      if (d.any(Placement::Kind::partial)) continue;
      for (const auto& batch : all_placements(2, 1)) {
        const Distribution placed(topology, {7}, batch);
        if (placed.any(Placement::Kind::root) || placed.any(Placement::Kind::partial)) continue;
        Table<float> table({.num_embeddings = 13, .embedding_dim = 3});
        const auto weight = Variable<float>::parameter(
            "w", DistributedTensor<float>::from_function(
                     d, [&](auto i) { return table.values[static_cast<std::size_t>(d.shape().flat(i))]; }));
        functional::renormalize_rows(placed_ids<std::int32_t>(placed, ids), weight, 1.0);
        renormalize(table, ids, 1.0, 2);
        CHECK(same_numbers(weight.value(), table.values));
      }
    }
  }
}

TEST_CASE("a frozen weight is no parameter, gets no gradient and is renormalised all the same") {
  for (const auto& grid : factorisations(world().size(), 3)) {
    for (const auto exchange : exchanges()) {
      const EmbeddingLayerOptions options{.num_embeddings = 13,
                                          .embedding_dim = 5,
                                          .max_norm = 1.5,
                                          .norm_type = infinity,
                                          .freeze = true,
                                          .exchange = exchange};
      const DistributedEmbedding<float> frozen(Partition(world()).cartesian(grid), options);
      CHECK(frozen.parameters().empty());
      CHECK(!frozen.weight().is_parameter());
      CHECK(!frozen.weight().requires_gradient());
      Table<float> table(options);
      const auto ids = some_ids(11, 13);
      renormalize(table, ids, 1.5, infinity);

      auto tuned = options;
      tuned.freeze = false;
      const DistributedEmbedding<float> beside(frozen.weight().topology(), tuned);
      const auto placed = placed_ids<Index>(frozen.input_distribution({11}), ids);
      const auto upstream = some_upstream<float>(11 * 5);
      GradientTape tape;
      const auto y = frozen(placed);
      CHECK(!y.requires_gradient());
      CHECK(same_bits(whole_rows(y), table.looked_up(ids)));
      tape.backward(loss_of(y, upstream) + loss_of(beside(placed), upstream));
      CHECK(!frozen.weight().has_gradient());
      CHECK(beside.weight().has_gradient());
      CHECK(same_bits(frozen.weight().value(), table.values));
    }
  }
}

TEST_CASE("a given weight is taken as it is, from any topology, and not shared") {
  const int n = world().size();
  const Partition all(world());
  std::vector<int> last{n - 1};
  const auto table = some_upstream<float>(13 * 5);
  std::vector<Distribution> sources;
  for (const auto& p : all_placements(1, 2)) {
    sources.emplace_back(all.cartesian({n}), Shape{13, 5}, p);
    sources.emplace_back(all.first((n + 1) / 2).cartesian({(n + 1) / 2}), Shape{13, 5}, p);
  }
  sources.emplace_back(all.subset(last).cartesian({1}), Shape{13, 5}, Placements{Replicate{}});
  const auto ids = some_ids(11, 13);
  for (const auto& grid : factorisations(n, 3)) {
    const auto topology = all.cartesian(grid);
    for (const auto& storage : storages()) {
      auto more = sources;
      more.emplace_back(topology, Shape{13, 5}, Placements{storage, Shard{0}, Shard{1}},
                        DistributionOptions{.nesting = {1, 0, 2}});  // as the layer stores it
      for (const auto& d : more) {
        INFO(d.to_string() << " for storage " << storage.to_string() << " on " << topology.grid().shape().to_string());
        auto source = DistributedTensor<float>::from_function(
            d, [&](auto i) { return table[static_cast<std::size_t>(d.shape().flat(i))]; });
        const auto layer = DistributedEmbedding<float>::from_pretrained(
            topology, source, {.name = "given", .padding_idx = 3, .storage = storage});
        CHECK(same_bits(layer.weight().value(), table));
        CHECK(layer.parameters().empty());
        CHECK(layer.options().num_embeddings == 13);
        CHECK(layer.options().embedding_dim == 5);

        source.modify([](Tensor<float>& out) { out.fill(7); });
        CHECK(same_bits(layer.weight().value(), table));
        auto weight = layer.weight();
        weight.modify([](Tensor<float>& out) { out.fill(8); });
        CHECK(std::ranges::all_of(source.local().span(), [](float x) { return x == 7; }));
      }
      const auto d = Distribution(topology, {13, 5}, {Replicate{}, Replicate{}, Shard{0}});
      const auto source = DistributedTensor<float>::from_root(d, Tensor<float>::from(Shape{13, 5}, table));
      const auto tuned = DistributedEmbedding<float>::from_pretrained(
          topology, source,
          {.name = "given", .num_embeddings = 13, .embedding_dim = 5, .padding_idx = 0, .storage = storage}, false);
      REQUIRE(tuned.parameters().size() == 1);
      CHECK(tuned.parameters()[0].name() == "given.weight");
      const auto upstream = some_upstream<float>(11 * 5);
      GradientTape tape;
      const auto y = tuned(placed_ids<Index>(tuned.input_distribution({11}), ids));
      std::vector<float> expected;
      for (const Index id : ids) expected.insert(expected.end(), table.begin() + id * 5, table.begin() + id * 5 + 5);
      CHECK(same_bits(whole_rows(y), expected));
      tape.backward(loss_of(y, upstream));
      CHECK(matches(tuned.weight().dense_gradient(), TableGradient<float>(ids, upstream, 13, 5, 0), grid[0] == 1));
    }
  }
}

TEST_CASE("what is not finite in a row stays there, also under max_norm") {
  const auto inf = static_cast<float>(infinity);
  const auto no_number = static_cast<float>(nan);
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto exchange : exchanges()) {
      for (const double p : {2.0, infinity}) {
        for (const auto& storage : storages()) {
          const EmbeddingLayerOptions options{.num_embeddings = 9,
                                              .embedding_dim = 6,
                                              .max_norm = 3,
                                              .norm_type = p,
                                              .sparse = true,
                                              .storage = storage,
                                              .exchange = exchange};
          Table<float> table(options);
          for (std::size_t i = 0; i < table.values.size(); ++i) table.values[i] = static_cast<float>(i) - 20.0F;
          table.values[1 * 6 + 0] = no_number;
          table.values[2 * 6 + 5] = no_number;
          table.values[4 * 6 + 2] = -inf;
          const DistributedEmbedding<float> layer(
              topology,
              DistributedTensor<float>::from_function(
                  {topology, {9, 6}, {storage, Shard{0}, Shard{1}}, {.nesting = {1, 0, 2}}},
                  [&](auto i) { return table.values[static_cast<std::size_t>(i[0] * 6 + i[1])]; }),
              options);
          const std::vector<Index> ids{0, 1, 2, 6, 4, 5, 6, 7, 8, 1, 3};
          renormalize(table, ids, 3, p);
          INFO(layer.weight().distribution().to_string() << ", p " << p);
          auto upstream = some_upstream<float>(std::ssize(ids) * 6);
          for (std::size_t c = 0; c < 6; ++c) upstream[4 * 6 + c] = c % 2 == 0 ? no_number : inf;
          GradientTape tape;
          const auto y = layer(placed_ids<Index>(layer.input_distribution({std::ssize(ids)}), ids));
          CHECK(same_numbers(whole_rows(y), table.looked_up(ids)));
          CHECK(same_numbers(layer.weight().value(), table.values));

          tape.backward(loss_of(y, upstream));
          const auto gradient = layer.weight().dense_gradient();
          const TableGradient<float> exact(ids, upstream, 9, 6);
          const auto bound = held(gradient.distribution(), exact.magnitudes);
          const auto values = held(gradient.distribution(), exact.values);
          for (std::size_t i = 0; i < values.size(); ++i) {
            const float g = gradient.local().span()[i];
            CHECK((std::isfinite(values[i]) ? std::abs(g - values[i]) <= 1e-6 * bound[i] : !std::isfinite(g)));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tartan
