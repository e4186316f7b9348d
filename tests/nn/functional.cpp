// functional::embedding: the table of placements in its contract, every row of it and every pair that is not in it.

#include <tartan/nn/functional.hpp>

#include "autograd/logical.hpp"
#include "nn/oracle.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

struct Row {
  Placement result;
  Placement gradient;  ///< of the weight, as it is contributed
};

/// The table of the contract along one axis, for ids of `dims` dimensions.
std::optional<Row> table(Placement weight, Placement ids, int dims) {
  if (weight.is_replicate() && ids.is_shard()) return Row{ids, Partial{}};
  if (weight.is_replicate() && ids.is_replicate()) return Row{Replicate{}, Replicate{}};
  if (weight.is_shard(0) && ids.is_replicate()) return Row{Partial{}, Shard{0}};
  if (weight.is_shard(1) && ids.is_replicate()) return Row{Shard{dims}, Shard{1}};
  if (weight.is_partial() && ids.is_replicate()) return Row{Partial{}, Replicate{}};
  if (weight.is_root() && ids.is_root()) return Row{Root{}, Root{}};
  return std::nullopt;
}

constexpr Index rows = 7;
constexpr Index columns = 3;
constexpr Numbers weight_numbers{3, -20};
constexpr Numbers upstream_numbers{-2, 11};

/// Collective. All pairs of placements on one topology: integers, so that values and gradients are exact.
void check_pairs(const CartesianTopology& topology, const Shape& shape, Batch& batch, SameTexts& texts) {
  const auto list = some_ids(shape.elements(), rows);
  Flat value;
  Flat gradient(rows * columns);
  for (std::size_t i = 0; i < list.size(); ++i) {
    for (Index c = 0; c < columns; ++c) {
      const Index element = list[i] * columns + c;
      value.push_back(static_cast<double>(weight_numbers(element)));
      gradient[static_cast<std::size_t>(element)] +=
          static_cast<double>(upstream_numbers(static_cast<Index>(i) * columns + c));
    }
  }
  const int axes = topology.grid().axes();
  for (const auto& weight_placements : all_placements(axes, 2)) {
    for (const auto& id_placements : all_placements(axes, shape.dimensions())) {
      const Distribution weight_placed(topology, {rows, columns}, weight_placements);
      const Distribution ids_placed(topology, shape, id_placements);
      INFO("ids " << ids_placed.to_string() << ", weight " << weight_placed.to_string());
      const auto weight = Variable<double>::parameter("w", laid_out<double>(weight_placed, weight_numbers));
      const auto ids = placed_ids<Index>(ids_placed, list);
      Placements result;
      Placements contributed;
      bool fits = true;
      for (std::size_t axis = 0; axis < weight_placements.size(); ++axis) {
        const auto row = table(weight_placements[axis], id_placements[axis], shape.dimensions());
        fits = fits && row;
        result.push_back(row ? row->result : Replicate{});
        contributed.push_back(row ? row->gradient : Replicate{});
      }
      if (!fits) {
        const auto text = texts.of([&] { functional::embedding(ids, weight); });
        CHECK(contains(text, ids_placed.to_string()));
        CHECK(contains(text, weight_placed.to_string()));
        continue;
      }
      GradientTape tape;
      const auto y = functional::embedding(ids, weight);
      CHECK(y.distribution().placements() == result);
      check_logical(y.value(), value, 0, "value", batch);
      const auto upstream = laid_out<double>(y.distribution().gradient(), upstream_numbers);
      tape.backward(sum(y * Variable<double>(upstream)));
      CHECK(weight.dense_gradient().distribution() == weight_placed.gradient());
      check_logical(weight.dense_gradient(), gradient, 0, "gradient", batch);
    }
  }
}

TEST_CASE("every pair of placements on one and two axes is in the table or refused") {
  Batch batch;
  SameTexts texts;
  check_pairs(Partition(world()).cartesian({world().size()}), {4, 3}, batch, texts);
  for (const auto& grid : factorisations(world().size(), 2)) {
    check_pairs(Partition(world()).cartesian(grid), {5}, batch, texts);
  }
  if (world().size() > 1) {
    check_pairs(Partition(world()).first(world().size() - 1).cartesian({1, world().size() - 1}), {4, 3}, batch, texts);
  }
  texts.verify();
  batch.verify();
}

TEST_CASE("given blocks of ids and of columns stay in the result, nested as they were") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n});
  std::vector<Index> blocks(static_cast<std::size_t>(n), 0);
  blocks.back() = 3;
  Batch batch;
  const auto list = some_ids(3, rows);
  const Table<double> reference({.num_embeddings = rows, .embedding_dim = columns});
  const auto weight_of = [&](const Distribution& d) {
    return Variable<double>(DistributedTensor<double>::from_function(
        d, [&](auto i) { return reference.values[static_cast<std::size_t>(i[0] * columns + i[1])]; }));
  };
  const DistributionOptions given{.block_extents = {{0, blocks}}};
  const auto by_ids = functional::embedding(placed_ids<Index>({topology, {3}, {Shard{0}}, given}, list),
                                            weight_of({topology, {rows, columns}, {Replicate{}}}));
  CHECK(same_bits(by_ids.value(), reference.looked_up(list)));
  CHECK(by_ids.distribution() == Distribution(topology, {3, columns}, {Shard{0}}, given));
  const auto by_columns = functional::embedding(placed_ids<Index>({topology, {3}, {Replicate{}}}, list),
                                                weight_of({topology, {rows, columns}, {Shard{1}}, given}));
  CHECK(same_bits(by_columns.value(), reference.looked_up(list)));
  CHECK(by_columns.distribution() == Distribution(topology, {3, columns}, {Shard{1}}, given));

  for (const auto& grid : factorisations(n, 2)) {
    const auto two = Partition(world()).cartesian(grid);
    const DistributionOptions turned{.nesting = {1, 0}};
    const auto y = functional::embedding(placed_ids<Index>({two, {3}, {Replicate{}, Replicate{}}}, list),
                                         weight_of({two, {rows, columns}, {Shard{1}, Shard{1}}, turned}));
    CHECK(same_bits(y.value(), reference.looked_up(list)));
    const auto z = functional::embedding(placed_ids<Index>({two, {3}, {Shard{0}, Shard{0}}, turned}, list),
                                         weight_of({two, {rows, columns}, {Replicate{}, Replicate{}}}));
    CHECK(same_bits(z.value(), reference.looked_up(list)));
  }
}

TEST_CASE("what is no table, another topology or another padding_idx is refused") {
  const auto topology = Partition(world()).cartesian({world().size(), 1});
  const auto ids = placed_ids<Index>({topology, {3}, {Replicate{}, Replicate{}}}, {0, 1, 2});
  const auto weight = [](const CartesianTopology& on, Shape shape) {
    return Variable<float>(DistributedTensor<float>::zeros({on, std::move(shape), {Replicate{}, Replicate{}}}));
  };
  SameTexts texts;
  const auto refusal = [&](const Variable<float>& w, functional::EmbeddingOptions options = {}) {
    return texts.of([&] { functional::embedding(ids, w, options); });
  };
  CHECK(contains(refusal(weight(topology, {7})), "a weight of two dimensions, not (7)"));
  CHECK(contains(refusal(weight(topology, {7, 3, 1})), "a weight of two dimensions, not (7, 3, 1)"));
  if (world().size() > 1) {
    const auto turned = Partition(world()).cartesian({1, world().size()});
    CHECK(contains(refusal(weight(turned, {7, 3})), "on one topology"));
  }
  CHECK(contains(refusal(weight(topology, {7, 3}), {.padding_idx = 7}), "padding_idx 7 is out of range"));
  CHECK(contains(refusal(weight(topology, {7, 3}), {.padding_idx = -8}), "padding_idx -8 is out of range"));
  CHECK(refusal(weight(topology, {7, 3}), {.padding_idx = -7}) == "no error");
  texts.verify();
}

}  // namespace
}  // namespace tartan
