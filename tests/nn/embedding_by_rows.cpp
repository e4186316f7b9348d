// Lookups that move rows instead of tables: values, gradients, and what is refused.

#include "autograd/logical.hpp"
#include "nn/options.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

TEST_CASE("hot rows and ranks without ids, by rows") {
  std::vector<Index> hot(5003, 2);
  for (std::size_t i = 0; i < hot.size(); i += 17) hot[i] = static_cast<Index>(i) % 4;
  const std::vector<Index> one{3};
  const std::vector<Index> none;
  for (const auto& grid : factorisations(world().size(), 3)) {
    for (const auto& storage : storages()) {
      for (const auto& ids : {hot, one, none}) {
        const EmbeddingLayerOptions options{
            .num_embeddings = 4, .embedding_dim = 3, .sparse = true, .storage = storage, .exchange = Exchange::rows};
        const DistributedEmbedding<float> layer(Partition(world()).cartesian(grid), options);
        const auto upstream = some_upstream<float>(std::ssize(ids) * 3);
        GradientTape tape;
        const auto y = layer(placed_ids<std::int32_t>(layer.input_distribution({std::ssize(ids)}), ids));
        CHECK(same_bits(whole_rows(y), Table<float>(options).looked_up(ids)));
        tape.backward(loss_of(y, upstream));
        REQUIRE(std::holds_alternative<RowSparse<float>>(layer.weight().gradient()));
        CHECK(matches(layer.weight().dense_gradient(), TableGradient<float>(ids, upstream, 4, 3), grid[0] == 1));
      }
    }
  }
}

/// What embedding_by_rows() takes along one axis of more than one rank, and how the result lies there.
std::optional<Placement> result_by_rows(Placement weight, Placement ids) {
  if (ids.is_shard() && !weight.is_partial() && !weight.is_shard(1)) return ids;
  if (ids.is_replicate() && weight.is_shard(1)) return Shard{1};
  if (ids.is_replicate() && (weight.is_shard(0) || weight.is_replicate())) return Replicate{};
  return std::nullopt;
}

TEST_CASE("the functional form takes the placements of its table, and no others") {
  const int n = world().size();
  const auto ids = some_ids(7, 13);
  const auto upstream = some_upstream<double>(7 * 5);
  SameTexts texts;
  for (const auto& grid : factorisations(n, 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& placements : all_placements(2, 2)) {
      for (const auto& batch : all_placements(2, 1)) {
        const Distribution placed(topology, {7}, batch);
        // The axis that splits ids nests inside the other.
        const bool turned = batch[0].is_shard() && !batch[1].is_shard();
        const DistributionOptions nesting{.nesting = turned ? std::vector<int>{1, 0} : std::vector<int>{0, 1}};
        const Distribution d(topology, {13, 5}, placements, nesting);
        INFO("ids " << placed.to_string() << ", weight " << d.to_string());
        Placements result;
        bool fits = true;
        int pulled = 0;
        for (int axis = 0; axis < 2; ++axis) {
          const auto w = d.placement(axis);
          const auto i = placed.placement(axis);
          auto lies = result_by_rows(w, i);
          if (grid[axis] == 1 && w.is_root() && i.is_replicate()) lies = Replicate{};
          fits = fits && lies.has_value();
          if (lies) result.push_back(*lies);
          pulled += grid[axis] > 1 && i.is_shard() && !w.is_replicate();
        }
        fits = fits && pulled <= 1;
        const Table<double> table({.num_embeddings = 13, .embedding_dim = 5});
        const auto weight = Variable<double>::parameter(
            "w", DistributedTensor<double>::from_function(
                     d, [&](auto i) { return table.values[static_cast<std::size_t>(d.shape().flat(i))]; }));
        const auto list = placed_ids<Index>(placed, ids);
        if (!fits) {
          CHECK(contains(texts.of([&] { functional::embedding_by_rows(list, weight); }), "an embedding by rows"));
          continue;
        }
        GradientTape tape;
        const auto y = functional::embedding_by_rows(list, weight, {.sparse = true});
        CHECK(y.distribution().placements() == result);
        CHECK(same_bits(y.value(), table.looked_up(ids)));
        tape.backward(loss_of(y, upstream));
        CHECK(std::get<RowSparse<double>>(weight.gradient()).distribution == d);
        CHECK(matches(weight.dense_gradient(), TableGradient<double>(ids, upstream, 13, 5), false));
      }
    }
  }
  texts.verify();
}

TEST_CASE("rows that a data axis splits outside of another axis are refused") {
  const auto grids = factorisations(world().size(), 2);
  for (const auto& grid : grids) {
    const auto topology = Partition(world()).cartesian(grid);
    const auto weight = Variable<float>(
        DistributedTensor<float>::zeros({topology, {13, 5}, {Shard{0}, Shard{0}}, {.nesting = {0, 1}}}));
    const auto ids = placed_ids<Index>({topology, {7}, {Shard{0}, Replicate{}}}, some_ids(7, 13));
    SameTexts texts;
    const auto text = texts.of([&] { functional::embedding_by_rows(ids, weight); });
    CHECK(contains(text, "nest innermost") == (grid[0] > 1 && grid[1] > 1));
    texts.verify();
  }
}

}  // namespace
}  // namespace tartan
