// What an embedding refuses: the same on every rank, before anything changes.

#include <chrono>
#include <thread>

#include <tartan/comm/agreement.hpp>
#include <tartan/nn/multi_embedding.hpp>

#include "nn/options.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

TEST_CASE("options that make no sense are refused on every rank with what they may be") {
  const auto topology = Partition(world()).cartesian({world().size(), 1, 1});
  const Distribution replicated(topology, {5, 2}, Placements(3, Replicate{}));
  const auto given = DistributedTensor<float>::zeros(replicated);
  std::string texts;
  const auto refused = [&](const auto& call) {
    const auto text = error_text(call);
    texts += text + '\n';
    return text;
  };
  const auto layer = [&](std::optional<double> max_norm, double norm_type) {
    return refused([&] {
      DistributedEmbedding<float>(
          topology,
          {.name = "tokens", .num_embeddings = 5, .embedding_dim = 2, .max_norm = max_norm, .norm_type = norm_type});
    });
  };
  CHECK(layer(1.0, 2) == "no error");
  CHECK(layer(1.0, infinity) == "no error");
  CHECK(layer(0.5, 0.5) == "no error");
  CHECK(layer(0.0, 2) == "the embedding 'tokens' has max_norm 0, which must be positive");
  CHECK(layer(-1.0, 2) == "the embedding 'tokens' has max_norm -1, which must be positive");
  CHECK(layer(nan, 2) == "the embedding 'tokens' has max_norm nan, which must be positive");
  CHECK(layer(1.0, 0) == "the embedding 'tokens' has norm_type 0, which must be positive");
  CHECK(layer(1.0, -2) == "the embedding 'tokens' has norm_type -2, which must be positive");
  CHECK(layer(1.0, nan) == "the embedding 'tokens' has norm_type nan, which must be positive");

  const auto ids = placed_ids<Index>({topology, {3}, Placements(3, Replicate{})}, {0, 1, 2});
  const auto weight = Variable<float>::parameter("w", given);
  for (const auto& [bad, number] : std::vector<std::pair<double, std::string>>{{0, "0"}, {-1, "-1"}, {nan, "nan"}}) {
    CHECK(refused([&] { functional::renormalize_rows(ids, weight, bad); }) ==
          "max_norm is " + number + ", but must be positive");
    CHECK(refused([&] { functional::renormalize_rows(ids, weight, 1, bad); }) ==
          "norm_type is " + number + ", but must be positive");
    CHECK(refused([&] { functional::embedding(ids, weight, {.max_norm = bad}); }) ==
          "max_norm is " + number + ", but must be positive");
    CHECK(refused([&] { functional::embedding_by_rows(ids, weight, {.max_norm = 1, .norm_type = bad}); }) ==
          "norm_type is " + number + ", but must be positive");
  }
  CHECK(contains(refused([&] { functional::embedding(ids, weight, {.reproducible = true, .atomics = true}); }),
                 "not both"));
  const auto of_one_table = DistributedTensor<std::int64_t>::zeros({topology, {4, 1}, Placements(3, Replicate{})});
  CHECK(contains(refused([&] {
                   functional::multi_embedding(of_one_table, std::vector{weight},
                                               {.max_norm = 0.1, .reproducible = true, .atomics = true});
                 }),
                 "not both"));
  const auto terms = Variable<float>(DistributedTensor<float>::zeros(replicated.with(0, Partial{})));
  CHECK(contains(refused([&] { functional::renormalize_rows(ids, terms, 1); }), "have no norms"));

  const auto from = [&](const DistributedTensor<float>& tensor, Index rows, Index columns) {
    return refused([&] {
      DistributedEmbedding<float>::from_pretrained(
          topology, tensor, {.name = "tokens", .num_embeddings = rows, .embedding_dim = columns});
    });
  };
  CHECK(from(given, 5, 0) == "no error");
  CHECK(from(given, 6, 2) == "the embedding 'tokens' is said to be (6, 2) but was given a weight of (5, 2)");
  CHECK(from(given, 0, 1) == "the embedding 'tokens' is said to be (0, 1) but was given a weight of (5, 2)");
  const auto line = DistributedTensor<float>::zeros({topology, {5}, Placements(3, Replicate{})});
  CHECK(contains(from(line, 0, 0), "not (5)"));
  CHECK_NOTHROW(same_on_all(world(), "texts of errors", texts));
}

TEST_CASE("a bad id on any rank is an error on every rank, before any row is renormalised") {
  const Partition all(world());
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = all.cartesian(grid);
    for (const auto& storage : storages()) {
      for (const auto exchange : exchanges()) {
        const EmbeddingLayerOptions options{.num_embeddings = 13,
                                            .embedding_dim = 5,
                                            .max_norm = 0.5,
                                            .norm_type = infinity,
                                            .storage = storage,
                                            .exchange = exchange};
        const DistributedEmbedding<float> layer(topology, options);
        Table<float> table(options);
        const auto version = layer.weight().value().version();
        const auto placed = layer.input_distribution({8});
        for (Index position = 0; position < 8; position += grid[0] == 1 ? 3 : 1) {
          auto ids = some_ids(8, 13);
          ids[static_cast<std::size_t>(position)] = position % 2 == 0 ? 13 : -1;
          const auto bad = placed_ids<Index>(placed, ids);
          const bool culprit = placed.box(topology.rank())[0].contains(position);
          if (culprit && position == 0) std::this_thread::sleep_for(std::chrono::milliseconds{2});
          const auto text = error_text([&] { layer(bad); });
          CHECK(contains(text, position % 2 == 0 ? "id 13 at position (" : "id -1 at position ("));
          CHECK(contains(text, "(" + std::to_string(position) + ")"));
          CHECK(contains(text, "ids are 0 to 12"));
          CHECK(layer.weight().value().version() == version);
          CHECK(same_bits(layer.weight().value(), table.values));
        }
        const auto ids = some_ids(8, 13);
        renormalize(table, ids, 0.5, infinity);
        CHECK(same_bits(whole_rows(layer(placed_ids<Index>(placed, ids))), table.looked_up(ids)));
      }
    }
  }
}

TEST_CASE("ids that no lookup takes are refused before any row is renormalised") {
  const auto topology = Partition(world()).cartesian({world().size(), 1, 1});
  const auto elsewhere = Partition(world()).cartesian({1, world().size(), 1});
  const auto line = Partition(world()).cartesian({world().size()});
  std::string texts;
  for (const auto& storage : storages()) {
    for (const auto exchange : exchanges()) {
      const EmbeddingLayerOptions options{
          .num_embeddings = 13, .embedding_dim = 5, .max_norm = 0.5, .storage = storage, .exchange = exchange};
      const DistributedEmbedding<float> layer(topology, options);
      const Table<float> table(options);
      std::vector<Distribution> refused{{topology, {4}, {Root{}, Replicate{}, Replicate{}}},
                                        {topology, {4}, {Partial{}, Replicate{}, Replicate{}}},
                                        {topology, {4}, {Replicate{}, Shard{0}, Replicate{}}},
                                        {line, {4}, {Shard{0}}}};
      if (world().size() > 1) refused.push_back({elsewhere, {4}, {Replicate{}, Replicate{}, Replicate{}}});
      for (const auto& placed : refused) {
        INFO(placed.to_string());
        const auto ids = placed_ids<Index>(placed, {0, 5, 12, 5});
        const auto text = error_text([&] { layer(ids); });
        texts += text + '\n';
        CHECK(text != "no error");
        CHECK(same_bits(layer.weight().value(), table.values));
      }
    }
  }
  CHECK_NOTHROW(same_on_all(world(), "texts of errors", texts));
}

TEST_CASE("a program with ranks outside of the grid skips a bad batch on all ranks") {
  const Partition all(world());
  if (all.size() == 1) return;
  const auto grid = all.first(all.size() - 1).cartesian({all.size() - 1, 1, 1});
  const DistributedEmbedding<float> layer(grid, {.num_embeddings = 5, .embedding_dim = 2});
  int skipped = 0;
  double last = 0;
  for (const Index bad_step : {1, 9}) {
    for (Index step = 0; step < 3; ++step) {
      const auto ids = DistributedTensor<Index>::from_function(
          layer.input_distribution({2 * grid.size()}), [&](auto i) { return step == bad_step && i[0] == 0 ? 5 : 4; });
      GradientTape tape;
      Variable<float> y;
      std::exception_ptr fault;
      try {
        y = layer(ids);
      } catch (...) {
        fault = std::current_exception();
      }
      CHECK((fault != nullptr) == (step == bad_step && grid.active()));
      try {
        agree(all.root(), fault);
      } catch (const Error&) {
        ++skipped;
        continue;
      }
      tape.backward(sum(y * y));
      last = norm(y.value());
    }
  }
  CHECK(skipped == 1);
  CHECK(last > 0);
}

}  // namespace
}  // namespace tartan
