// Every mode of bags with every option, under every layout, storage and exchange, against plain loops on one rank.

#include <array>

#include "nn/bag_oracle.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr double infinity = std::numeric_limits<double>::infinity();

const std::vector<EmbeddingLayerOptions>& option_sets() {
  static const std::vector<EmbeddingLayerOptions> sets{
      {},
      {.padding_idx = -2},
      {.padding_idx = 1, .sparse = true},
      {.scale_grad_by_freq = true},
      {.max_norm = 1.5, .norm_type = infinity, .scale_grad_by_freq = true, .sparse = true},
      {.padding_idx = 1, .max_norm = 4, .norm_type = 1},
      {.reproducible = true},
      {.padding_idx = 0, .scale_grad_by_freq = true, .sparse = true, .reproducible = true},
  };
  return sets;
}

/// Two calls, and their gradients added.
template <class T, class I>
void check_layer(const CartesianTopology& topology, const EmbeddingLayerOptions& options, BagMode mode, BagForm form,
                 int turn) {
  const DistributedEmbeddingBag<T> layer(topology, options, {.mode = mode});
  const auto weight = layer.weight();
  const auto& grid = topology.grid();
  Table<T> table(options);
  const Index padding = layer.options().padding_idx.value_or(-1);
  const bool split = turn % 5 != 0;
  const bool weighted = mode == BagMode::sum && turn % 2 == 0;
  const bool sharded = split && grid.extent(0) > 1;
  const bool whole_norms = !options.max_norm || std::isinf(options.norm_type) || grid.extent(2) == 1;
  const bool by_rows = options.exchange == Exchange::rows && (sharded || grid.extent(0) == 1);
  const bool unsplit = grid.extent(1) == 1 || by_rows || options.reproducible || mode == BagMode::max;
  const auto batches = bag_batches(form, options.num_embeddings);
  INFO("weight " << weight.distribution().to_string() << ", mode " << static_cast<int>(mode) << ", form "
                 << static_cast<int>(form) << ", exchange " << static_cast<int>(options.exchange) << ", turn " << turn);

  std::optional<TableGradient<T>> gradient;
  for (const int step : {0, 1}) {
    const auto& batch = batches[static_cast<std::size_t>(turn + step) % batches.size()];
    const auto n = std::ssize(batch.ids);
    if (options.max_norm) renormalize(table, batch.ids, *options.max_norm, options.norm_type);
    std::vector<T> weights;
    if (weighted) {
      for (Index i = 0; i < n; ++i) weights.push_back(static_cast<T>((i * 5 + 3) % 7 - 2) / 3);
    }
    const auto upstream = some_upstream<T>(batch.bags() * options.embedding_dim);
    const PooledRows<T> expected(table, batch, mode, weights, padding, upstream);

    const auto bags = placed_bags<I>(topology, batch, form, split);
    Variable<T> factors;
    if (weighted) {
      // As the ids lie, or elsewhere.
      auto d = bags.ids().distribution();
      if (turn % 4 == 0) d = d.with_shape(d.shape()).with(0, Shard{0});
      factors = Variable<T>::parameter("factors", DistributedTensor<T>::from_function(d, [&](auto i) {
                                         return weights[static_cast<std::size_t>(d.shape().flat(i))];
                                       }));
    }
    GradientTape tape;
    const auto y = layer(bags, factors);
    CHECK(y.distribution().placement(1) == options.output);
    CHECK(y.shape() == Shape{batch.bags(), options.embedding_dim});
    CHECK(close_sums(testing::whole_rows(y), expected.values, expected.magnitudes, unsplit && whole_norms));
    tape.backward(loss_of(y, upstream));

    if (weighted) {
      const auto& d = factors.distribution();
      REQUIRE(factors.has_gradient());
      CHECK(factors.dense_gradient().distribution() == d);
      CHECK(close_sums(factors.dense_gradient(), expected.dots, expected.dot_magnitudes, false));
    }
    auto hits = expected.hits;
    if (options.scale_grad_by_freq) hits = divided_by_counts(batch.ids, std::move(hits), table.columns);
    const TableGradient<T> more(batch.ids, hits, table.rows, table.columns, padding);
    gradient = gradient ? added(*gradient, more) : more;
  }
  CHECK((whole_norms ? same_bits(weight.value(), table.values) : same_numbers(weight.value(), table.values)));
  REQUIRE(weight.has_gradient());
  CHECK(weight.dense_gradient().distribution() == weight.distribution());
  CHECK(matches(weight.dense_gradient(), *gradient, (!sharded || options.reproducible)));
  const auto* sparse = std::get_if<RowSparse<T>>(&weight.gradient());
  CHECK((sparse != nullptr) == options.sparse);
  if (sparse != nullptr) {
    std::vector<Index> mine;
    const auto box = weight.value().box();
    for (const Index row : gradient->rows) {
      if (box[0].contains(row)) mine.push_back(row);
    }
    CHECK(sparse->rows == mine);
  }
}

template <class T>
void check_turn(const CartesianTopology& topology, EmbeddingLayerOptions options, BagMode mode, int turn) {
  const auto results = outputs(2);
  options.name = "table " + std::to_string(turn % 5);
  options.num_embeddings = turn % 3 == 0 ? 2 : 13;
  options.embedding_dim = turn % 3 == 0 ? 3 : turn % 7 == 0 ? 70 : 9;
  options.output = results[static_cast<std::size_t>(turn) % results.size()];
  if (mode == BagMode::max) {
    options.scale_grad_by_freq = false;
    if (options.output.is_partial()) options.output = Replicate{};
  }
  const auto form = static_cast<BagForm>(turn / 2 % 4);
  turn % 3 == 0 ? check_layer<T, std::int32_t>(topology, options, mode, form, turn)
                : check_layer<T, std::int64_t>(topology, options, mode, form, turn);
}

constexpr std::array modes{BagMode::sum, BagMode::mean, BagMode::max};

TEST_CASE("every mode of bags with every option on every grid, whatever moves") {
  int turn = 0;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto exchange : exchanges()) {
      for (auto options : option_sets()) {
        for (const auto mode : modes) {
          ++turn;
          options.storage = storages()[static_cast<std::size_t>(turn / 2) % 3];
          options.exchange = exchange;
          check_turn<float>(topology, options, mode, turn);
        }
      }
    }
  }
}

TEST_CASE("every mode and option of bags in double, with an inactive rank") {
  if (world().size() == 1) return;
  int turn = 0;
  const int n = world().size() - 1;
  for (const auto& grid : factorisations(n, 3)) {
    const auto topology = Partition(world()).first(n).cartesian(grid);
    for (auto options : option_sets()) {
      for (const auto mode : modes) {
        ++turn;
        options.storage = storages()[static_cast<std::size_t>(turn) % 3];
        options.exchange = exchanges()[static_cast<std::size_t>(turn / 3) % 3];
        check_turn<double>(topology, options, mode, turn);
      }
    }
  }
}

}  // namespace
}  // namespace tartan
