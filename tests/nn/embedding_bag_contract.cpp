// Bags beside the numbers of one rank: functional forms in every placement, bits on every grid, slopes, refusals.

#include <chrono>
#include <thread>

#include "autograd/logical.hpp"
#include "nn/bag_oracle.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 13;
constexpr std::array modes{BagMode::sum, BagMode::mean, BagMode::max};

template <class T>
Variable<T> variable(const std::string& name, const Distribution& d, const std::vector<T>& whole) {
  return Variable<T>::parameter(name, DistributedTensor<T>::from_function(d, [&](auto i) {
                                  return whole[static_cast<std::size_t>(d.shape().flat(i))];
                                }));
}

TEST_CASE("functional bags take ids and weight as an embedding does, and the largest only where rows are whole") {
  const Table<double> table({.num_embeddings = V, .embedding_dim = 3});
  const auto batch = BagBatch::of_rows(5, 4, V);
  const auto upstream = some_upstream<double>(5 * 3);
  const auto factors = some_upstream<double>(20);
  Batch sums;
  SameTexts texts;
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& weight_placed : all_placements(2, 2)) {
      for (const auto& ids_placed : all_placements(2, 1)) {
        const Distribution d(topology, {V, 3}, weight_placed);
        const Distribution rows(topology, {5, 4}, ids_placed);
        if (rows.any(Placement::Kind::partial)) continue;
        const Bags<Index> bags(placed_ids<Index>(rows, batch.ids));
        for (const auto mode : modes) {
          for (const bool by_rows : {false, true}) {
            INFO("ids " << rows.to_string() << ", weight " << d.to_string() << ", mode " << static_cast<int>(mode)
                        << (by_rows ? ", by rows" : ""));
            const bool weighted = mode == BagMode::sum;
            const auto weight = variable("w", d, table.values);
            const auto weights = weighted ? variable("f", rows, factors) : Variable<double>{};
            const auto call = [&](const Variable<double>& f) {
              return by_rows ? functional::embedding_bag_by_rows(bags, weight, mode, {}, f)
                             : functional::embedding_bag(bags, weight, mode, {}, f);
            };
            const auto plain = [&] {
              const auto ids = placed_ids<Index>(rows.with_shape({5}), {0, 1, 2, 3, 4});
              return (by_rows ? functional::embedding_by_rows(ids, weight) : functional::embedding(ids, weight))
                  .distribution();
            };
            Distribution result;
            const auto meets = texts.of([&] { result = plain(); });
            if (meets != "no error") {
              CHECK(texts.of([&] { call(weights); }) != "no error");
              continue;
            }
            if (mode == BagMode::max && result.any(Placement::Kind::partial)) {
              CHECK(contains(texts.of([&] { call(weights); }), "the largest of a bag's rows is no sum of terms"));
              continue;
            }
            const PooledRows<double> expected(table, batch, mode, weighted ? factors : std::vector<double>{}, -1,
                                              upstream);
            GradientTape tape;
            const auto y = call(weights);
            CHECK(y.distribution() == result);
            check_logical(y.value(), expected.values, 1e-14, "value", sums);
            tape.backward(loss_of(y, upstream));
            check_logical(weight.dense_gradient(), TableGradient<double>(batch.ids, expected.hits, V, 3).values, 1e-13,
                          "gradient", sums);
            if (weighted) check_logical(weights.dense_gradient(), expected.dots, 1e-13, "gradient of weights", sums);
          }
        }
      }
    }
  }
  texts.verify();
  sums.verify();
}

TEST_CASE("reproducible bags give the bits of one rank on every grid, also the gradient of weights") {
  constexpr Index D = 70;  // three leaves, the last one short
  int turn = 0;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      for (const auto mode : modes) {
        const auto form = static_cast<BagForm>(turn % 4);
        const EmbeddingLayerOptions options{.num_embeddings = V,
                                            .embedding_dim = D,
                                            .padding_idx = 2,
                                            .sparse = turn % 2 == 0,
                                            .reproducible = true,
                                            .storage = storage,
                                            .output = outputs(2)[static_cast<std::size_t>(turn) % 3 + 1],
                                            .exchange = exchanges()[static_cast<std::size_t>(turn) % 3]};
        ++turn;
        const DistributedEmbeddingBag<float> layer(topology, options, {.mode = mode});
        const Table<float> table(options);
        for (const auto& batch : bag_batches(form, V)) {
          const auto upstream = some_upstream<float>(batch.bags() * D);
          const auto factors = some_upstream<float>(std::ssize(batch.ids));
          const bool weighted = mode == BagMode::sum;
          const PooledRows<float> expected(table, batch, mode, weighted ? factors : std::vector<float>{}, 2, upstream);
          const auto bags = placed_bags<std::int32_t>(topology, batch, form, true);
          Variable<float> weights;
          if (weighted) weights = variable("f", bags.ids().distribution(), factors);
          auto weight = layer.weight();
          weight.clear_gradient();
          GradientTape tape;
          const auto y = layer(bags, weights);
          INFO("bags " << bags.distribution().to_string() << ", mode " << static_cast<int>(mode));
          CHECK(same_bits(whole_rows(y), expected.values));
          tape.backward(loss_of(y, upstream));
          CHECK(matches(weight.dense_gradient(), TableGradient<float>(batch.ids, expected.hits, V, D, 2), true));
          if (!weighted) continue;
          std::vector<float> dots;
          for (std::size_t i = 0; i < batch.ids.size(); ++i) {
            float sum = 0;
            for (Index first = 0; first < D; first += 32) {
              std::vector<float> lanes(32, -0.0F);
              for (Index c = first; c < std::min(D, first + 32); ++c) {
                lanes[static_cast<std::size_t>(c - first)] =
                    table.values[static_cast<std::size_t>(batch.ids[i] * D + c)] *
                    upstream[batch.bag(i) * D + static_cast<std::size_t>(c)];
              }
              for (std::size_t width = 16; width > 0; width /= 2) {
                for (std::size_t l = 0; l < width; ++l) lanes[l] += lanes[l + width];
              }
              sum = first == 0 ? lanes[0] : sum + lanes[0];
            }
            dots.push_back(batch.ids[i] == 2 ? 0.0F : sum);
          }
          CHECK(same_bits(weights.dense_gradient(), dots));
        }
      }
    }
  }
}

TEST_CASE("gradients of bags are slopes") {
  const auto batch = BagBatch::of_lengths({3, 0, 5, 1, 2}, V);
  const auto upstream = some_upstream<double>(5 * 4);
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto mode : modes) {
      const DistributedEmbeddingBag<double> layer(topology, {.num_embeddings = V, .embedding_dim = 4, .padding_idx = 5},
                                                  {.mode = mode});
      const auto bags = placed_bags<Index>(topology, batch, BagForm::offsets, true);
      Variable<double> weights;
      if (mode == BagMode::sum) weights = variable("f", bags.ids().distribution(), some_upstream<double>(11));
      const auto loss = [&] {
        const auto y = loss_of(layer(bags, weights), upstream);
        return redistribute(y, Replicate{}).value();
      };
      GradientTape tape;
      tape.backward(loss_of(layer(bags, weights), upstream));
      const auto check_slope = [&](Variable<double> x) {
        const auto direction = DistributedTensor<double>::from_function(
            x.distribution(), [](auto i) { return 1.0 / (2.0 + static_cast<double>(i[0])) - 0.2; });
        const auto at = [&](double step) {
          x.modify([&](Tensor<double>& out) {
            for (Index i = 0; i < out.elements(); ++i) out[i] += step * direction.local()[i];
          });
          const auto value = loss();
          return value.local().elements() > 0 ? value.local()[0] : 0;
        };
        const double h = 1e-5;
        const double up = at(h);
        const double down = at(-2 * h);
        at(h);
        CHECK(std::abs((up - down) / (2 * h) - inner(x.dense_gradient(), direction)) < 1e-8);
      };
      check_slope(layer.weight());
      if (mode == BagMode::sum) check_slope(weights);
    }
  }
}

TEST_CASE("a bad id in any bag is an error on every rank before anything changes") {
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto exchange : exchanges()) {
      const EmbeddingLayerOptions options{
          .num_embeddings = V, .embedding_dim = 5, .max_norm = 0.5, .exchange = exchange};
      for (const auto form : {BagForm::rows, BagForm::offsets, BagForm::local}) {
        const DistributedEmbeddingBag<float> layer(topology, options);
        const auto version = layer.weight().value().version();
        for (Index position = 0; position < 10; position += 2) {
          auto batch = BagBatch::of_rows(5, 2, V);
          batch.ids[static_cast<std::size_t>(position)] = position % 4 == 0 ? V : -1;
          const auto bags = placed_bags<Index>(topology, batch, form, true);
          if (position == 0 && topology.rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds{2});
          const auto text = error_text([&] { layer(bags); });
          CHECK(contains(text, position % 4 == 0 ? "id 13 at position (" : "id -1 at position ("));
          CHECK(contains(text, "ids are 0 to 12"));
          CHECK(layer.weight().value().version() == version);
        }
      }
    }
  }
}

TEST_CASE("poolings that do not exist are refused alike on every rank before anything changes") {
  const auto topology = Partition(world()).cartesian({world().size(), 1, 1});
  const Distribution placed(topology, {2, 3}, {Shard{0}, Replicate{}, Replicate{}});
  const Bags<Index> bags(placed_ids<Index>(placed, {0, 1, 2, 3, 4, 5}));
  const EmbeddingLayerOptions options{.name = "tokens", .num_embeddings = V, .embedding_dim = 2, .max_norm = 0.25};
  const auto factors = variable("f", placed, std::vector<float>(6, 1));
  const auto fewer = variable("f", placed.with_shape({2, 2}), std::vector<float>(4, 1));
  SameTexts texts;
  const auto refusal = [&](BagMode mode, const Variable<float>& weights) {
    const DistributedEmbeddingBag<float> layer(topology, options, {.mode = mode});
    const auto text = texts.of([&] { layer(bags, weights); });
    CHECK((layer.weight().value().version() == 0) == (text != "no error"));
    return text;
  };
  CHECK(refusal(BagMode::sum, factors) == "no error");
  CHECK(contains(refusal(BagMode::mean, factors), "per_sample_weights are for bags in mode sum"));
  CHECK(contains(refusal(BagMode::max, factors), "per_sample_weights are for bags in mode sum"));
  CHECK(contains(refusal(BagMode::sum, fewer),
                 "per_sample_weights of the shape (2, 2) were given for ids of the shape (2, 3)"));
  const auto made = [&](BagMode mode, EmbeddingLayerOptions with) {
    return texts.of([&] { DistributedEmbeddingBag<float>(topology, with, {.mode = mode}); });
  };
  auto scaled = options;
  scaled.scale_grad_by_freq = true;
  CHECK(made(BagMode::mean, scaled) == "no error");
  CHECK(contains(made(BagMode::max, scaled), "scale_grad_by_freq divides contributions to sums and means"));
  auto partial = options;
  partial.output = Partial{};
  CHECK(made(BagMode::mean, partial) == "no error");
  CHECK(
      contains(made(BagMode::max, partial), "the embedding 'tokens' cannot give the largest rows of bags as Partial"));
  auto deep = options;
  deep.output = Shard{2};
  const DistributedEmbeddingBag<float> layer(topology, deep);
  CHECK(contains(texts.of([&] { layer(bags); }), "output dimension"));
  texts.verify();
}

TEST_CASE("weights of ids whose table changed cannot have a gradient") {
  const auto topology = Partition(world()).cartesian({1, 1, world().size()});
  DistributedEmbeddingBag<float> layer(topology, {.num_embeddings = V, .embedding_dim = 2, .storage = Replicate{}},
                                       {.mode = BagMode::sum});
  const auto bags = placed_bags<Index>(topology, BagBatch::of_rows(2, 3, V), BagForm::rows, true);
  const auto factors = variable("f", bags.ids().distribution(), std::vector<float>(6, 1));
  GradientTape tape;
  const auto loss = sum(layer(bags, factors));
  auto weight = layer.weight();
  weight.modify([](Tensor<float>& out) { out.fill(1); });
  CHECK(contains(error_text([&] { tape.backward(loss); }), "was modified between the operation"));
}

TEST_CASE("rows that are scaled between a lookup and its backward refuse the gradient of weights on every grid") {
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      for (const auto exchange : exchanges()) {
        DistributedEmbeddingBag<float> layer(
            topology,
            {.num_embeddings = V, .embedding_dim = 2, .max_norm = 1, .storage = storage, .exchange = exchange},
            {.mode = BagMode::sum});
        const auto bags = placed_bags<Index>(topology, BagBatch::of_rows(2, 3, V), BagForm::rows, true);
        const auto factors = variable("f", bags.ids().distribution(), std::vector<float>(6, 1));
        GradientTape tape;
        const auto loss = sum(layer(bags, factors)) + sum(layer(bags, factors));
        CHECK(contains(error_text([&] { tape.backward(loss); }), "was modified between the operation"));
      }
    }
  }
}

}  // namespace
}  // namespace tartan
