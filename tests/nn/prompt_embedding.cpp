// Prompts beside a text table: every storage, exchange and output on every grid against one table of both, and what is
// refused.

#include <array>

#include <tartan/nn/prompt_embedding.hpp>

#include "autograd/logical.hpp"
#include "nn/options.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 11;
constexpr Index D = 5;
constexpr Index tasks = 3;
constexpr Index prompt_length = 4;

/// A batch, and its ids in one table of the text and, behind it, the prompts.
struct PromptBatch {
  std::vector<Index> ids;
  std::vector<Index> tasks;
  std::vector<Index> both;

  explicit PromptBatch(const Shape& shape) : ids(some_ids(shape.elements(), V + prompt_length)) {
    for (Index b = 0; b < shape[0]; ++b) tasks.push_back((2 * b + 1) % testing_tasks);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto b = i / static_cast<std::size_t>(shape.elements() / shape[0]);
      both.push_back(ids[i] < V ? ids[i] : ids[i] + tasks[b] * prompt_length);
    }
  }
  static constexpr Index testing_tasks = tartan::tasks;
};

/// The initial tables of a layer, one behind the other.
template <class T>
Table<T> both_tables(const EmbeddingLayerOptions& options) {
  Table<T> table(options);
  EmbeddingLayerOptions of_prompts{
      .name = options.name + ".prompts", .num_embeddings = tasks * prompt_length, .embedding_dim = D};
  const Table<T> prompts(of_prompts);
  table.rows += prompts.rows;
  table.values.insert(table.values.end(), prompts.values.begin(), prompts.values.end());
  return table;
}

/// The gradients of one table of both, as those of the text and of the prompts.
template <class T>
std::array<TableGradient<T>, 2> parted(const TableGradient<T>& both) {
  std::array<TableGradient<T>, 2> parts{both, both};
  const auto cut = V * D;
  const auto halve = [&](auto& list, auto& text, auto& prompts) {
    text.assign(list.begin(), list.begin() + cut);
    prompts.assign(list.begin() + cut, list.end());
  };
  halve(both.values, parts[0].values, parts[1].values);
  halve(both.magnitudes, parts[0].magnitudes, parts[1].magnitudes);
  return parts;
}

template <class T, class I>
void check_layer(const CartesianTopology& topology, const EmbeddingLayerOptions& options, const Distribution& placed) {
  const DistributedPromptEmbedding<T> layer(topology, options, {.tasks = tasks, .prompt_length = prompt_length});
  REQUIRE(layer.parameters().size() == 2);
  CHECK(layer.parameters()[1].name() == options.name + ".prompts.weight");
  CHECK(layer.prompts().distribution().placement(1) == Replicate{});
  CHECK(layer.prompts().distribution().placement(2) == Shard{1});
  auto table = both_tables<T>(options);
  const PromptBatch batch(placed.shape());
  if (options.max_norm) {
    std::vector<Index> text;
    std::ranges::copy_if(batch.ids, std::back_inserter(text), [](Index id) { return id < V; });
    renormalize(table, text, *options.max_norm, options.norm_type);
  }
  const auto expected = table.looked_up(batch.both);
  auto upstream = some_upstream<T>(std::ssize(expected));
  INFO("ids " << placed.to_string() << ", weight " << layer.weight().distribution().to_string() << ", exchange "
              << static_cast<int>(options.exchange));
  const auto task_list = placed_ids<I>(layer.input_distribution({placed.shape()[0]}), batch.tasks);
  GradientTape tape;
  const auto y = layer(placed_ids<I>(placed, batch.ids), task_list);
  CHECK(y.distribution().placement(1) == options.output);
  CHECK(same_bits(whole_rows(y), expected));
  tape.backward(loss_of(y, upstream));
  if (options.scale_grad_by_freq) upstream = divided_by_counts(batch.both, std::move(upstream), D);
  const auto padding = layer.options().padding_idx.value_or(-1);
  const auto gradients = parted(TableGradient<T>(batch.both, upstream, table.rows, D, padding));
  const bool exact = topology.grid().extent(0) == 1 || !placed.placement(0).is_shard() || options.reproducible;
  CHECK(matches(layer.weight().dense_gradient(), gradients[0], exact));
  CHECK(matches(layer.prompts().dense_gradient(), gradients[1], exact));
  CHECK(std::holds_alternative<RowSparse<T>>(layer.prompts().gradient()) == options.sparse);
}

TEST_CASE("prompts and text are looked up as in one table of both, on every grid") {
  const std::vector<EmbeddingLayerOptions> sets{
      {},
      {.padding_idx = -1, .sparse = true},
      {.max_norm = 1, .norm_type = std::numeric_limits<double>::infinity(), .reproducible = true},
      {.padding_idx = 2, .scale_grad_by_freq = true, .sparse = true, .reproducible = true},
  };
  const std::vector<Shape> shapes{{4, 3}, {7}, {2, 3, 2}, {1, 9}, {3, 0}, {0, 3}};
  for (const int active : {world().size(), std::max(1, world().size() - 1)}) {
    int turn = 0;
    for (const auto& grid : factorisations(active, 3)) {
      const auto topology = Partition(world()).first(active).cartesian(grid);
      for (const auto& storage : storages()) {
        for (const auto exchange : exchanges()) {
          for (auto options : sets) {
            const auto& shape = shapes[static_cast<std::size_t>(++turn) % shapes.size()];
            const auto results = outputs(shape.dimensions() + 1);
            options.name = "tokens";
            options.num_embeddings = V;
            options.embedding_dim = D;
            options.storage = storage;
            options.exchange = exchange;
            options.output = results[static_cast<std::size_t>(turn) % results.size()];
            // Ids split on the first dimension mostly, or on the last, or not at all.
            Placements placements(3, Replicate{});
            if (turn % 5 != 0) placements[0] = Shard{turn % 5 == 1 ? -1 : 0};
            const Distribution placed(topology, shape, placements);
            turn % 2 == 0 ? check_layer<float, std::int32_t>(topology, options, placed)
                          : check_layer<double, std::int64_t>(topology, options, placed);
          }
        }
      }
    }
  }
}

TEST_CASE("functional prompts follow the placements of their table, and tasks those of their ids") {
  const auto table = both_tables<double>({.name = "tokens", .num_embeddings = V, .embedding_dim = D});
  const PromptBatch batch({4, 3});
  const auto upstream = some_upstream<double>(12 * D);
  const auto gradients = parted(TableGradient<double>(batch.both, upstream, table.rows, D));
  const auto expected = table.looked_up(batch.both);
  Batch sums;
  SameTexts texts;
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& weight_placed : all_placements(2, 2)) {
      for (const auto& ids_placed : all_placements(2, 2)) {
        const Distribution d(topology, {V, D}, weight_placed);
        auto beside = weight_placed;
        for (auto& placement : beside) {
          if (placement.is_shard(0)) placement = Replicate{};
        }
        const Distribution rows(topology, {4, 3}, ids_placed);
        INFO("ids " << rows.to_string() << ", weight " << d.to_string());
        const auto of = [&](const Distribution& where, Index first) {
          return Variable<double>::parameter("w", DistributedTensor<double>::from_function(where, [&](auto i) {
                                               return table.values[static_cast<std::size_t>((first + i[0]) * D + i[1])];
                                             }));
        };
        const auto weight = of(d, 0);
        const auto prompts = of({topology, {tasks * prompt_length, D}, beside}, V);
        const auto ids = placed_ids<Index>(rows, batch.ids);
        // Anywhere: they move to their ids.
        const auto task_list = placed_ids<Index>({topology, {tasks + 1}, {Shard{0}, Replicate{}}}, batch.tasks);
        GradientTape tape;
        Variable<double> y;
        const auto meets =
            texts.of([&] { functional::embedding(placed_ids<Index>(rows, std::vector<Index>(12)), weight); });
        const auto text =
            texts.of([&] { y = functional::prompt_embedding(ids, task_list, weight, prompts, prompt_length); });
        CHECK((text == "no error") == (meets == "no error"));
        if (text != "no error") continue;
        check_logical(y.value(), expected, 0, "value", sums);
        tape.backward(loss_of(y, upstream));
        check_logical(weight.dense_gradient(), gradients[0].values, 1e-14, "gradient of the text", sums);
        check_logical(prompts.dense_gradient(), gradients[1].values, 1e-14, "gradient of the prompts", sums);
      }
    }
  }
  texts.verify();
  sums.verify();
}

TEST_CASE("a text table that is given stays frozen while prompts learn") {
  const auto topology = Partition(world()).cartesian({world().size(), 1, 1});
  const Distribution replicated(topology, {V, D}, Placements(3, Replicate{}));
  const DistributedPromptEmbedding<float> layer(topology, DistributedTensor<float>::constant(replicated, 3),
                                                {.name = "tokens", .freeze = true},
                                                {.tasks = 2, .prompt_length = 3, .initial = initializers::constant(5)});
  REQUIRE(layer.parameters().size() == 1);
  CHECK(layer.parameters()[0].name() == "tokens.prompts.weight");
  const auto ids = placed_ids<Index>(layer.input_distribution({3, 2}), {0, V, V + 2, 4, 1, V + 1});
  const auto task_list = placed_ids<Index>(layer.input_distribution({3}), {1, 0, 1});
  GradientTape tape;
  const auto y = layer(ids, task_list);
  const auto values = y.value().local().span();
  const auto here = held(ids.distribution(), std::vector<Index>{0, V, V + 2, 4, 1, V + 1});
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i] == (here[i / D] < V ? 3 : 5));
  tape.backward(sum(y));
  CHECK(!layer.weight().has_gradient());
  std::vector<float> expected(6 * D);
  for (const Index row : {3 + 0, 0 + 2, 3 + 1}) std::fill_n(expected.begin() + row * D, D, 1.0F);

  const auto gradient = layer.prompts().dense_gradient();
  CHECK(std::ranges::equal(gradient.local().span(), held(gradient.distribution(), expected)));
}

TEST_CASE("bad ids and bad tasks are errors on every rank before anything changes") {
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto exchange : exchanges()) {
      const DistributedPromptEmbedding<float> layer(
          topology, {.num_embeddings = V, .embedding_dim = D, .max_norm = 0.5, .exchange = exchange},
          {.tasks = tasks, .prompt_length = prompt_length});
      const auto version = layer.weight().value().version();
      const auto placed = layer.input_distribution({8, 2});
      for (Index culprit = 0; culprit < 8; ++culprit) {
        PromptBatch batch({8, 2});
        const auto call = [&] {
          return error_text([&] {
            layer(placed_ids<Index>(placed, batch.ids), placed_ids<Index>(layer.input_distribution({8}), batch.tasks));
          });
        };
        auto& id = batch.ids[static_cast<std::size_t>(2 * culprit)];
        const Index good = id;
        id = culprit % 2 == 0 ? V + prompt_length : -1;
        const auto position = " at position (" + std::to_string(culprit);
        auto text = call();
        CHECK(contains(text, "id " + std::to_string(id) + position + ", 0) of the ids on rank"));
        CHECK(contains(text, "the text table with a prompt has 15 rows, so ids are 0 to 14"));
        id = good;
        auto& task = batch.tasks[static_cast<std::size_t>(culprit)];
        task = culprit % 2 == 0 ? tasks : -1;
        text = call();
        CHECK(contains(text, "task " + std::to_string(task) + position + ") of the tasks on rank"));
        CHECK(contains(text, "the prompt table has 3 tasks, so tasks are 0 to 2"));
        CHECK(layer.weight().value().version() == version);
      }
    }
  }
}

TEST_CASE("tables of prompts that do not fit are refused alike on every rank") {
  const auto topology = Partition(world()).cartesian({world().size(), 1, 1});
  SameTexts texts;
  const auto made = [&](PromptOptions prompts) {
    return texts.of([&] {
      DistributedPromptEmbedding<float>(topology, {.name = "tokens", .num_embeddings = V, .embedding_dim = D}, prompts);
    });
  };
  CHECK(made({.tasks = 1, .prompt_length = 1}) == "no error");
  CHECK(made({.tasks = 0, .prompt_length = 1}) ==
        "the prompt embedding 'tokens' needs tasks and a prompt_length of at least 1, not 0 and 1");
  CHECK(made({.tasks = 1, .prompt_length = -1}) ==
        "the prompt embedding 'tokens' needs tasks and a prompt_length of at least 1, not 1 and -1");
  const DistributedPromptEmbedding<float> layer(topology, {.num_embeddings = V, .embedding_dim = D},
                                                {.tasks = tasks, .prompt_length = prompt_length});
  const auto call = [&](const Shape& ids, const Shape& of_tasks) {
    const auto zeros = [&](const Shape& shape) {
      return DistributedTensor<Index>::zeros({topology, shape, Placements(3, Replicate{})});
    };
    return texts.of([&] { layer(zeros(ids), zeros(of_tasks)); });
  };
  CHECK(call({2, 3}, {2}) == "no error");
  CHECK(contains(call({2, 3}, {3}), "a prompt embedding takes ids (B, ...) and tasks (B), not"));
  CHECK(contains(call({2, 3}, {2, 1}), "ids (B, ...) and tasks (B)"));
  CHECK(contains(call({}, {1}), "ids (B, ...) and tasks (B)"));
  const auto prompts_of = [&](const Shape& shape, Index length) {
    return texts.of([&] {
      const auto zeros = [&](const Shape& extents) {
        return Variable<float>(DistributedTensor<float>::zeros({topology, extents, Placements(3, Replicate{})}));
      };
      const auto list = DistributedTensor<Index>::zeros({topology, {2}, Placements(3, Replicate{})});
      functional::prompt_embedding(list, list, zeros({V, D}), zeros(shape), length);
    });
  };
  CHECK(prompts_of({6, D}, 3) == "no error");
  CHECK(contains(prompts_of({7, D}, 3), "are not of tasks with 3 rows each"));
  CHECK(contains(prompts_of({6, D}, 0), "are not of tasks with 0 rows each"));
  CHECK(contains(prompts_of({6, D + 1}, 3), "takes prompts placed as"));
  CHECK(contains(prompts_of({6}, 3), "a weight and prompts of two dimensions"));
  texts.verify();
}

}  // namespace
}  // namespace tartan
