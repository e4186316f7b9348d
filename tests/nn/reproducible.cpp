// Reproducible embeddings: the bits of one rank on every grid, from every storage, whatever moves.

#include <tartan/comm/agreement.hpp>
#include <tartan/optim/optimizer.hpp>

#include "nn/options.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 13;
constexpr Index D = 70;  // three leaves, the last one short
constexpr double infinity = std::numeric_limits<double>::infinity();

/// A sum over the columns of a row by leaves of 32, halved.
template <class Term>
double by_leaves(Index columns, Term term) {
  double sum = 0;
  for (Index first = 0; first < columns; first += 32) {
    std::vector<double> lanes(32, -0.0);
    for (Index c = first; c < std::min(columns, first + 32); ++c) lanes[static_cast<std::size_t>(c - first)] = term(c);
    for (std::size_t width = 16; width > 0; width /= 2) {
      for (std::size_t l = 0; l < width; ++l) lanes[l] += lanes[l + width];
    }
    sum = first == 0 ? lanes[0] : sum + lanes[0];
  }
  return sum;
}

template <class T>
void renormalize_by_leaves(Table<T>& table, const std::vector<Index>& ids, double max_norm, double p) {
  for (const Index id : std::set(ids.begin(), ids.end())) {
    T* row = table.values.data() + id * table.columns;
    const double power = by_leaves(table.columns, [&](Index c) {
      const double a = std::abs(static_cast<double>(row[c]));
      return p == 1 ? a : p == 2 ? a * a : std::pow(a, p);
    });
    const double n = std::pow(power, 1 / p);
    if (!(n > max_norm)) continue;
    for (Index c = 0; c < table.columns; ++c) row[c] *= static_cast<T>(max_norm / (n + 1e-7));
  }
}

template <class T>
void check_layer(const CartesianTopology& topology, const EmbeddingLayerOptions& options, const Distribution& placed) {
  const DistributedEmbedding<T> layer(topology, options);
  const auto weight = layer.weight();
  Table<T> table(options);
  INFO("ids " << placed.to_string() << ", weight " << weight.distribution().to_string() << ", exchange "
              << static_cast<int>(options.exchange));
  std::optional<TableGradient<T>> gradient;
  for (const Index step : {1, 5}) {
    auto ids = some_ids(placed.shape().elements(), V);
    for (Index& id : ids) id = (step * id + step / 2) % V;
    if (options.max_norm && std::isinf(options.norm_type))
      renormalize(table, ids, *options.max_norm, options.norm_type);
    else if (options.max_norm)
      renormalize_by_leaves(table, ids, *options.max_norm, options.norm_type);
    const auto expected = table.looked_up(ids);
    auto upstream = some_upstream<T>(std::ssize(expected));
    GradientTape tape;
    const auto y = layer(placed_ids<std::int32_t>(placed, ids));
    CHECK(same_bits(whole_rows(y), expected));
    tape.backward(loss_of(y, upstream));
    if (options.scale_grad_by_freq) upstream = divided_by_counts(ids, std::move(upstream), D);
    const TableGradient<T> more(ids, upstream, V, D, layer.options().padding_idx.value_or(-1));
    gradient = gradient ? added(*gradient, more) : more;
  }
  CHECK(same_bits(weight.value(), table.values));
  CHECK(std::holds_alternative<RowSparse<T>>(weight.gradient()) == options.sparse);
  CHECK(matches(weight.dense_gradient(), *gradient, true));
}

TEST_CASE("every option gives the bits of one rank on every grid") {
  const std::vector<EmbeddingLayerOptions> sets{
      {},
      {.padding_idx = -2, .sparse = true},
      {.max_norm = 6, .scale_grad_by_freq = true, .sparse = true},
      {.padding_idx = 1, .max_norm = 40, .norm_type = 1},
      {.max_norm = 2.5, .norm_type = 3.5, .sparse = true},
      {.padding_idx = 0, .max_norm = 1.25, .norm_type = infinity, .scale_grad_by_freq = true},
  };
  int turn = 0;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      for (auto options : sets) {
        ++turn;
        options.name = "table";
        options.num_embeddings = V;
        options.embedding_dim = D;
        options.reproducible = true;
        options.storage = storage;
        options.exchange = exchanges()[static_cast<std::size_t>(turn) % 3];
        options.output = outputs(2)[static_cast<std::size_t>(turn) % 2];
        const Shape shape = turn % 4 == 0 ? Shape{150} : turn % 4 == 1 ? Shape{12, 3} : Shape{3, 9};
        // Ids split on the first dimension mostly, or on the last, or not at all.
        Placements placements(3, Replicate{});
        if (turn % 5 != 0) placements[0] = Shard{turn % 5 == 1 ? -1 : 0};
        const Distribution placed(topology, shape, placements);
        turn % 2 == 0 ? check_layer<float>(topology, options, placed) : check_layer<double>(topology, options, placed);
      }
    }
  }
}

TEST_CASE("a functional lookup in a table of any placement is reproducible too") {
  const auto ids = some_ids(40, V);
  const auto upstream = some_upstream<float>(40 * D);
  const TableGradient<float> expected(ids, upstream, V, D);
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const bool by_rows : {false, true}) {
      for (const auto& storage : storages()) {
        if (!by_rows && !storage.is_replicate()) continue;
        const Distribution d(topology, {V, D}, {storage, Shard{0}}, {.nesting = {1, 0}});
        const auto weight = Variable<float>::parameter("w", DistributedTensor<float>::zeros(d));
        const auto placed = placed_ids<Index>({topology, {40}, {Shard{0}, Replicate{}}}, ids);
        GradientTape tape;
        const functional::EmbeddingOptions options{.reproducible = true};
        const auto y = by_rows ? functional::embedding_by_rows(placed, weight, options)
                               : functional::embedding(placed, weight, options);
        tape.backward(loss_of(y, upstream));
        CHECK(matches(weight.dense_gradient(), expected, true));
      }
    }
  }
}

TEST_CASE("row-wise Adagrad adds squares by leaves where it is asked to") {
  const EmbeddingLayerOptions options{
      .name = "table", .num_embeddings = V, .embedding_dim = D, .sparse = true, .reproducible = true};
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const bool sparse : {true, false}) {
      auto with = options;
      with.sparse = sparse;
      const DistributedEmbedding<float> layer(topology, with);
      RowwiseAdagrad<float> adagrad(layer.parameters(), {.learning_rate = 0.5, .epsilon = 1e-3, .reproducible = true});
      Table<float> table(options);
      std::vector<float> sums(V);
      for (const Index count : {20, 9}) {
        const auto ids = some_ids(count, V);
        const auto upstream = some_upstream<float>(count * D);
        GradientTape tape;
        tape.backward(loss_of(layer(placed_ids<Index>(layer.input_distribution({count}), ids)), upstream));
        adagrad.step();
        adagrad.clear_gradients();
        const TableGradient<float> gradient(ids, upstream, V, D);
        for (const Index row : gradient.rows) {
          const float* g = gradient.values.data() + row * D;
          auto& sum = sums[static_cast<std::size_t>(row)];
          sum += static_cast<float>(by_leaves(D, [&](Index c) { return static_cast<double>(g[c]) * g[c]; }) / D);
          const float rate = 0.5F / (std::sqrt(sum) + 1e-3F);
          for (Index c = 0; c < D; ++c) table.values[static_cast<std::size_t>(row * D + c)] -= rate * g[c];
        }
      }
      CHECK(same_bits(layer.weight().value(), table.values));
    }
  }
}

TEST_CASE("blocks of columns that cut leaves are refused where bits are promised") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n});
  const Distribution cut(topology, {V, 40}, {Shard{1}});
  const auto weight = Variable<float>::parameter("w", DistributedTensor<float>::zeros(cut));
  const auto ids = placed_ids<Index>({topology, {3}, {Replicate{}}}, {1, 2, 3});
  std::string texts;
  const auto refused = [&](auto&& call) {
    texts += error_text(call);
    return contains(texts, "take blocks that cut none");
  };
  CHECK(refused([&] { functional::embedding(ids, weight, {.max_norm = 1, .reproducible = true}); }) == (n > 1));
  CHECK(refused([&] { RowwiseAdagrad<float>({weight}, {.reproducible = true}); }) == (n > 1));
  const auto cube = Partition(world()).cartesian({1, 1, n});
  std::vector<Index> extents(static_cast<std::size_t>(n), 0);
  extents.front() = 1;
  extents.back() += 39;
  const EmbeddingLayerOptions given{
      .num_embeddings = V, .embedding_dim = 40, .column_extents = extents, .reproducible = true};
  CHECK(refused([&] { DistributedEmbedding<float>(cube, given); }) == (n > 1));
  CHECK_NOTHROW(same_on_all(world(), "texts of errors", texts));
}

TEST_CASE("lookups of split and of replicated ids in one pass add up in one order") {
  const auto ids = some_ids(20, V);
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      const DistributedEmbedding<float> layer(
          topology,
          {.name = "table", .num_embeddings = V, .embedding_dim = D, .reproducible = true, .storage = storage});
      const auto split = layer.input_distribution({20});
      const auto copied = split.with(0, Replicate{});
      std::vector<TableGradient<float>> terms;
      Variable<float> loss;
      GradientTape tape;
      for (const auto& placed : {split, copied, split, copied, split}) {
        auto upstream = some_upstream<float>(20 * D);
        for (float& u : upstream) u *= static_cast<float>(terms.size() % 2 == 0 ? 1.1 : -0.7e3);
        terms.emplace_back(ids, upstream, V, D);
        auto term = redistribute(loss_of(layer(placed_ids<Index>(placed, ids)), upstream), Replicate{});
        loss = loss.is_null() ? term : loss + term;
      }
      tape.backward(loss);
      auto expected = terms.back();  // the last is the first to be replayed
      for (std::size_t i = terms.size() - 1; i-- > 0;) expected = added(std::move(expected), terms[i]);
      CHECK(matches(layer.weight().dense_gradient(), expected, true));
    }
  }
}

TEST_CASE("given row blocks that hits cannot be split inside of are refused in the forward") {
  if (world().size() != 4) return;
  const auto topology = Partition(world()).cartesian({2, 2});
  const Distribution d(topology, {7, 4}, {Replicate{}, Shard{0}}, {.block_extents = {{1, {5, 2}}}});
  const auto weight = Variable<float>::parameter("w", DistributedTensor<float>::zeros(d));
  const auto ids = placed_ids<Index>({topology, {4}, {Shard{0}, Replicate{}}}, {0, 6, 1, 2});
  const auto text = error_text([&] { functional::embedding(ids, weight, {.reproducible = true}); });
  CHECK(text != "no error");
  CHECK_NOTHROW(same_on_all(world(), "the text", text));
  CHECK_NOTHROW(functional::embedding(ids, weight));
}

}  // namespace
}  // namespace tartan
