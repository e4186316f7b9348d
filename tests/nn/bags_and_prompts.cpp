// Bags and prompts as a user writes them. The marked parts are in docs/embeddings.md: scripts/check compares.

#include <tartan/tartan.hpp>

#include "nn/local_tensors.hpp"
#include "partition/oracle.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 11;
constexpr Index D = 6;
constexpr Index B = 5;
constexpr Index L = 2;
constexpr Index F = 3;
constexpr Index H = 4;

Index id_at(Index position, Index bound) { return (position * 7 + 3) % bound; }

DistributedTensor<float> small_integers(const Distribution& d, Index seed) {
  return DistributedTensor<float>::from_function(
      d, [&](auto i) { return static_cast<double>((i[0] * 3 + i[1] * 5 + seed) % 5 - 2); });
}

/// The parameter, of which layers show a constant reference, becomes `value`.
void put(Variable<float> parameter, const DistributedTensor<float>& value) { parameter.assign(value); }

/// The bags that this rank loads, of B that lie balanced over axis 0.
Interval my_bags(const CartesianTopology& grid) {
  return Decomposition::balanced(B, grid.grid().extent(0)).block(grid.coordinates()[0]);
}

bool close(const Variable<float>& y, const std::vector<double>& expected) {
  const auto found = y.value().full_tensor();
  return std::ranges::equal(found.span(), expected, [](float a, double b) { return std::abs(a - b) < 1e-5; });
}

TEST_CASE("bags as a user writes them") {
  const Partition all(world());
  for (const auto& shape : factorisations(all.size(), 3)) {
    INFO(shape.to_string());
    const auto grid = all.cartesian(shape);
    const auto weight_at = [](Index position) { return static_cast<double>(position % 3 + 1); };
    const auto expected = [&](const DistributedEmbeddingBag<float>& layer, bool weighted) {
      const auto table = layer.weight().value().full_tensor();
      std::vector<double> sums(B * D);
      for (Index i = 0; i < B * L * D; ++i) {
        const Index position = i / D;
        sums[static_cast<std::size_t>(position / L * D + i % D)] +=
            (weighted ? weight_at(position) : 1) * table[id_at(position, V) * D + i % D];
      }
      return sums;
    };

    {
      const Distribution split(grid, {B, L}, {Shard{0}, Replicate{}, Replicate{}});
      const auto rows =
          DistributedTensor<Index>::from_function(split, [](auto i) { return id_at(i[0] * L + i[1], V); });
      const auto ids =
          DistributedTensor<Index>::from_function(split.with_shape({B * L}), [](auto i) { return id_at(i[0], V); });
      const auto offsets =
          DistributedTensor<Index>::from_function(split.with_shape({B}), [](auto i) { return i[0] * L; });
      const auto weights =
          DistributedTensor<float>::from_function(split.with_shape({B * L}), [&](auto i) { return weight_at(i[0]); });
      // docs: bags
      DistributedEmbeddingBag<float> layer{grid, {.num_embeddings = V, .embedding_dim = D}, {.mode = BagMode::sum}};

      auto y = layer(rows);              // rows (B, L) of ids: bag b is row b; y is (B, D)
      y = layer(ids, offsets);           // ids (N), offsets (B): bag b begins at offsets[b]
      y = layer(ids, offsets, weights);  // each row times the weight of its id, which is differentiated too
      // docs: end
      CHECK(close(layer(rows), expected(layer, false)));
      CHECK(close(layer(ids, offsets), expected(layer, false)));
      CHECK(close(y, expected(layer, true)));
    }
    {
      const DistributedEmbeddingBag<float> layer(grid, {.num_embeddings = V, .embedding_dim = D},
                                                 {.mode = BagMode::sum});
      Variable<float> y;
      const auto mine = my_bags(grid);
      Tensor<Index> my_ids(Shape{mine.extent() * L});
      Tensor<float> my_weights(Shape{mine.extent() * L});
      for (Index i = 0; i < my_ids.elements(); ++i) {
        my_ids[i] = id_at(mine.begin * L + i, V);
        my_weights[i] = static_cast<float>(weight_at(mine.begin * L + i));
      }
      Tensor<Index> my_offsets(Shape{mine.extent()});
      for (Index i = 0; i < mine.extent(); ++i) my_offsets[i] = i * L;
      const Tensor<float> my_features(Shape{mine.extent(), F}, static_cast<float>(grid.coordinates()[0]));
      // docs: bags that each rank loads
      const auto bags = Bags<Index>::from_local(grid, 0, my_ids, my_offsets);  // along axis 0; offsets count in my_ids
      const auto weights = DistributedTensor<float>::from_local(bags.ids().distribution(), my_weights);
      y = layer(bags, weights);
      const auto features = DistributedTensor<float>::from_local(bags.beside({B, F}), my_features);  // a row for a bag
      // docs: end
      CHECK(close(y, expected(layer, true)));
      CHECK(features.box()[0] == mine);
    }
  }
}

const std::vector<Index> sizes{7, 12, 5};

/// Feature f's bags of 0, 1 or 2 ids: bag b's ids are id_at(B · f + b + k).
Index length(std::size_t f, Index b) { return (static_cast<Index>(f) + b) % 3; }

std::vector<Bags<Index>> bags_of_features(const CartesianTopology& grid) {
  std::vector<Bags<Index>> result;
  for (std::size_t f = 0; f < sizes.size(); ++f) {
    std::vector<Index> ids, offsets;
    const auto mine = my_bags(grid);
    for (Index b = mine.begin; b < mine.end; ++b) {
      offsets.push_back(std::ssize(ids));
      for (Index k = 0; k < length(f, b); ++k) ids.push_back(id_at(B * static_cast<Index>(f) + b + k, sizes[f]));
    }
    result.push_back(Bags<Index>::from_local(grid, 0, Tensor<Index>::from({std::ssize(ids)}, ids),
                                             Tensor<Index>::from({std::ssize(offsets)}, offsets)));
  }
  return result;
}

/// Everything by plain loops, of the numbers that small_integers() gives.
struct Expected {
  std::vector<double> y = std::vector<double>(B * H);
  std::vector<double> gradient = std::vector<double>(static_cast<std::size_t>(sizes[1] * D));  ///< of y², table 1

  Expected() {
    const auto number = [](Index row, Index column, Index seed) {
      return static_cast<double>((row * 3 + column * 5 + seed) % 5 - 2);
    };
    const auto at = [](Index row, Index columns, Index column) {
      return static_cast<std::size_t>(row * columns + column);
    };
    for (const bool backward : {false, true}) {
      for (std::size_t f = 0; f < sizes.size(); ++f) {
        const auto first = static_cast<Index>(f) * D;
        for (Index b = 0; b < B; ++b) {
          for (Index k = 0; k < length(f, b); ++k) {
            const Index id = id_at(B * static_cast<Index>(f) + b + k, sizes[f]);
            for (Index i = 0; i < D * H; ++i) {
              const Index d = i / H, h = i % H;
              const double factor = number(h, first + d, 9);
              if (!backward) y[at(b, H, h)] += factor * number(id, d, static_cast<Index>(f));
              if (backward && f == 1) gradient[at(id, D, d)] += 2 * y[at(b, H, h)] * factor;
            }
          }
        }
      }
    }
  }
};

/// Backward from y², and both against the loops.
void check(const Variable<float>& y, GradientTape& tape, const DistributedEmbeddingBag<float>& second) {
  const Expected expected;
  const auto equal = [](const Tensor<float>& found, const std::vector<double>& numbers) {
    return std::ranges::equal(found.span(), numbers);
  };
  CHECK(equal(y.value().full_tensor(), expected.y));
  tape.backward(sum(y * y));
  CHECK(equal(second.weight().dense_gradient().full_tensor(), expected.gradient));
}

TEST_CASE("several features whose tables are cut by rows, side by side") {
  const Partition all(world());
  for (const auto& shape : factorisations(all.size(), 2)) {
    INFO(shape.to_string());
    const auto grid = all.cartesian(shape);
    // docs: several features, rows cut
    std::vector<DistributedEmbeddingBag<float>> tables;  // grid: P_d × P_V
    for (std::size_t f = 0; f < sizes.size(); ++f) {
      tables.emplace_back(grid,
                          EmbeddingLayerOptions{.name = "feature" + std::to_string(f),
                                                .num_embeddings = sizes[f],
                                                .embedding_dim = D,
                                                .axes = EmbeddingAxes{.data = 0, .rows = 1},
                                                .output = Partial{}},
                          EmbeddingBagOptions{.mode = BagMode::sum});
    }
    const DistributedLinear<float> hidden(
        grid, {.name = "hidden", .in_features = F * D, .out_features = H, .axes = LinearAxes{.data = 0, .out = 1}});
    // docs: end
    for (std::size_t f = 0; f < sizes.size(); ++f) {
      put(tables[f].weight(), small_integers(tables[f].weight().distribution(), static_cast<Index>(f)));
    }
    put(hidden.weight(), small_integers(hidden.weight().distribution(), 9));
    put(hidden.bias(), DistributedTensor<float>::zeros(hidden.bias().distribution()));
    const auto bags = bags_of_features(grid);
    for (std::size_t f = 0; f < tables.size(); ++f) tables[f](bags[f]);  // moves the weights, once
    GradientTape tape;
    const CommRecorder recorder;
    // docs: several features, rows cut: a step
    std::vector<Variable<float>> parts;
    for (std::size_t f = 0; f < tables.size(); ++f) parts.push_back(tables[f](bags[f]));  // (B, D): Shard(0) × Partial
    const auto joined = redistribute(concatenate(parts), {Shard{0}, Replicate{}});        // one all-reduce for all
    const auto y = hidden(joined);  // (B, H): Shard(0) × Shard(1)
    // docs: end
    CHECK(recorder.count(Collective::all_reduce) == (shape[1] > 1 ? 1 : 0));
    check(y, tape, tables[1]);
  }
}

TEST_CASE("several features whose tables are cut by columns, each with its part of a layer") {
  const Partition all(world());
  for (const auto& shape : factorisations(all.size(), 2)) {
    INFO(shape.to_string());
    const auto grid = all.cartesian({shape[0], 1, shape[1]});
    // docs: several features, columns cut
    std::vector<DistributedEmbeddingBag<float>> tables;  // grid: P_d × 1 × P_M
    std::vector<DistributedLinear<float>> layers;
    for (std::size_t f = 0; f < sizes.size(); ++f) {
      const std::string name = "feature" + std::to_string(f);
      tables.emplace_back(grid, EmbeddingLayerOptions{.name = name, .num_embeddings = sizes[f], .embedding_dim = D},
                          EmbeddingBagOptions{.mode = BagMode::sum});
      layers.emplace_back(grid, LinearLayerOptions{.name = name + ".hidden",
                                                   .in_features = D,
                                                   .out_features = H,
                                                   .bias = f == 0,  // one for the sum
                                                   .axes = LinearAxes{.data = 0, .in = 2},
                                                   .output = Partial{}});
    }
    // docs: end
    for (std::size_t f = 0; f < sizes.size(); ++f) {
      put(tables[f].weight(), small_integers(tables[f].weight().distribution(), static_cast<Index>(f)));
      const auto first = static_cast<Index>(f) * D;
      put(layers[f].weight(), DistributedTensor<float>::from_function(layers[f].weight().distribution(), [&](auto i) {
            return static_cast<double>((i[0] * 3 + (first + i[1]) * 5 + 9) % 5 - 2);
          }));
    }
    put(layers[0].bias(), DistributedTensor<float>::zeros(layers[0].bias().distribution()));
    const auto bags = bags_of_features(grid);
    for (std::size_t f = 0; f < tables.size(); ++f) tables[f](bags[f]);
    GradientTape tape;
    const CommRecorder recorder;
    // docs: several features, columns cut: a step
    auto terms = layers[0](tables[0](bags[0]));  // (B, H): Shard(0) × Replicate × Partial
    for (std::size_t f = 1; f < tables.size(); ++f) terms = terms + layers[f](tables[f](bags[f]));
    const auto y = redistribute(terms, {Shard{0}, Replicate{}, Replicate{}});  // one all-reduce for all
    // docs: end
    CHECK(recorder.count(Collective::all_reduce) == (shape[1] > 1 ? 1 : 0));
    check(y, tape, tables[1]);
  }
}

TEST_CASE("prompts as a user writes them") {
  const Partition all(world());
  for (const auto& shape : factorisations(all.size(), 3)) {
    INFO(shape.to_string());
    const auto grid = all.cartesian(shape);
    const auto pretrained = small_integers({grid, {V, D}, {Replicate{}, Shard{1}, Shard{0}}}, 1);
    const Distribution split(grid, {B, L}, {Shard{0}, Replicate{}, Replicate{}});
    const auto ids = DistributedTensor<Index>::from_function(split, [](auto i) { return i[1] == 0 ? i[0] : V + i[0]; });
    const auto tasks = DistributedTensor<Index>::from_function(split.with_shape({B}), [](auto i) { return i[0] % 8; });
    // docs: prompts
    DistributedPromptEmbedding<float> layer{grid,
                                            pretrained,  // (V, D): any distribution, on any grid of the same root
                                            {.name = "tokens", .freeze = true},
                                            {.tasks = 8, .prompt_length = 20}};
    const auto y = layer(ids, tasks);  // (B, ..., D) for ids (B, ...) and tasks (B)
    // docs: end
    const auto text = pretrained.full_tensor();
    const auto prompts = layer.parameter("tokens.prompts.weight").value().full_tensor();
    std::vector<double> expected;
    for (Index b = 0; b < B; ++b) {
      for (Index d = 0; d < D; ++d) expected.push_back(text[b * D + d]);
      for (Index d = 0; d < D; ++d) expected.push_back(prompts[(b % 8 * 20 + b) * D + d]);
    }
    CHECK(close(y, expected));
    CHECK(layer.parameters().size() == 1);
  }
}

}  // namespace
}  // namespace tartan
