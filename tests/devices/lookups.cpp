// Lookups on CUDA devices, in every way that they are done, have the same bits as on the processor.

#include <tartan/nn/embedding_bag.hpp>
#include <tartan/nn/local_embedding.hpp>
#include <tartan/nn/multi_embedding.hpp>
#include <tartan/nn/prompt_embedding.hpp>
#include <tartan/nn/tensor_parallel_embedding.hpp>

#include "devices/both.hpp"
#include "nn/options.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 23;
constexpr Index D = 40;  // a leaf and a piece of another
const std::vector<Index> ids{3, 22, 3, 0, 7, 3, 11, 22, 5, 0, 3, 19, 22, 1, 3, 8};

/// A pass of make(topology), a layer, that is called by call(layer): its output, its gradients and its parameters have
/// the same bits on both kinds of device.
template <class Make, class Call>
void check(const Make& make, const Call& call) {
  same_on_both<float>([&](const CartesianTopology& topology) {
    const auto layer = make(topology);
    GradientTape tape;
    const auto y = call(layer);
    tape.backward(loss_of(y, some_upstream<float>(y.shape().elements())));
    Results<float> results{{"output", y.value().full_tensor()}};
    for (const auto& parameter : layer.parameters()) {
      results.emplace_back("gradient of " + parameter.name(), parameter.dense_gradient().full_tensor());
      results.emplace_back(parameter.name(), parameter.value().full_tensor());
    }
    return results;
  });
}

std::vector<EmbeddingLayerOptions> variants() {
  const EmbeddingLayerOptions plain{.name = "tokens", .num_embeddings = V, .embedding_dim = D};
  std::vector<EmbeddingLayerOptions> all(6, plain);
  all[1].padding_idx = 3;
  all[2].max_norm = 4;
  all[3].scale_grad_by_freq = true;
  all[4].sparse = true;
  all[4].storage = Replicate{};
  all[5].reproducible = true;
  all[5].max_norm = 5;
  const auto count = all.size();
  for (std::size_t i = 0; i < count; ++i) {
    all.push_back(all[i]);
    all[i].exchange = Exchange::table;
    all.back().exchange = Exchange::rows;
  }
  return all;
}

TEST_CASE("an embedding on a device has the bits of one on the processor") {
  for (const auto& options : variants()) {
    check([&](const auto& topology) { return DistributedEmbedding<float>(topology, options); },
          [&](const auto& layer) {
            return layer(placed_ids<std::int32_t>(layer.input_distribution({8, 2}), ids));
          });
  }
}

TEST_CASE("an embedding of bags on a device has the bits of one on the processor") {
  const std::vector<Index> offsets{0, 0, 5, 6, 6, 14, 16};
  for (const auto mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
    for (const auto& options : variants()) {
      if (mode == BagMode::max && options.scale_grad_by_freq) continue;
      check([&](const auto& topology) { return DistributedEmbeddingBag<float>(topology, options, {.mode = mode}); },
            [&](const auto& layer) {
              const auto placed = [&](const std::vector<Index>& values) {
                return placed_ids<Index>(layer.input_distribution({std::ssize(values)}), values);
              };
              return layer(Bags<Index>(placed(ids), placed(offsets)));
            });
    }
  }
}

struct WeightedBags {
  DistributedEmbeddingBag<float> layer;
  Variable<float> weights;

  std::vector<Variable<float>> parameters() const { return {layer.weight(), weights}; }
};

TEST_CASE("bags with weights on a device have the bits of those on the processor") {
  for (const bool reproducible : {false, true}) {
    for (const auto exchange : {Exchange::table, Exchange::rows}) {
      check(
          [&](const auto& topology) {
            const DistributedEmbeddingBag<float> layer(topology,
                                                       {.name = "tokens",
                                                        .num_embeddings = V,
                                                        .embedding_dim = D,
                                                        .padding_idx = 22,
                                                        .reproducible = reproducible,
                                                        .exchange = exchange},
                                                       {.mode = BagMode::sum});
            const auto where = layer.input_distribution({4, 4});
            const auto weight = [&](std::span<const Index> i) {
              return 0.1F * static_cast<float>(where.shape().flat(std::vector<Index>(i.begin(), i.end()))) - 0.4F;
            };
            return WeightedBags{
                layer, Variable<float>::parameter("weights", DistributedTensor<float>::from_function(where, weight))};
          },
          [&](const WeightedBags& weighted) {
            const auto where = weighted.weights.distribution();
            return weighted.layer(Bags<Index>(placed_ids<Index>(where, ids)), weighted.weights);
          });
    }
  }
}

TEST_CASE("many tables on a device have the bits of those on the processor") {
  for (const auto exchange : {Exchange::table, Exchange::rows}) {
    for (const bool reproducible : {false, true}) {
      check(
          [&](const auto& topology) {
            return DistributedMultiEmbedding<float>(topology, {.num_embeddings = {V, 25, 31},
                                                               .embedding_dim = {3, 64, 33},
                                                               .padding_idx = {{}, 22, {}},
                                                               .max_norm = 6,
                                                               .sparse = true,
                                                               .reproducible = reproducible,
                                                               .exchange = exchange});
          },
          [&](const auto& layer) {
            return layer(placed_ids<std::int32_t>(layer.input_distribution({5, 3}), {ids.begin(), ids.begin() + 15}));
          });
    }
  }
}

TEST_CASE("prompts on a device have the bits of those on the processor") {
  check(
      [&](const auto& topology) {
        return DistributedPromptEmbedding<float>(topology, {.name = "text", .num_embeddings = 20, .embedding_dim = D},
                                                 {.tasks = 2, .prompt_length = 3});
      },
      [&](const auto& layer) {
        return layer(placed_ids<Index>(layer.input_distribution({8, 2}), ids),
                     placed_ids<Index>(layer.input_distribution({8}), {0, 1, 1, 0, 1, 0, 0, 1}));
      });
}

TEST_CASE("ids that live on a device only are checked there") {
  if (no_devices()) return;
  const auto topology = Partition(world()).cartesian({world().size(), 1, 1}, Device::cuda());
  const DistributedEmbedding<float> layer(topology, {.name = "tokens", .num_embeddings = V, .embedding_dim = 3});
  const auto ids_of = [&](Index id) {
    return DistributedTensor<Index>::constant(layer.input_distribution({2 * world().size()}), id);
  };
  CHECK_FALSE(ids_of(5).is_on_host());
  CHECK(layer(ids_of(V - 1)).shape() == Shape{2 * world().size(), 3});
  for (const Index bad : {Index{-1}, V}) {
    const auto text = error_text([&] { (void)layer(ids_of(bad)); });
    CHECK(contains(text, "id " + std::to_string(bad) + " at position (" + std::to_string(2 * world().rank()) + ")"));
    CHECK(contains(text, "the table has 23 rows, so ids are 0 to 22"));
  }
  CHECK(layer(ids_of(0)).shape() == Shape{2 * world().size(), 3});  // the device still works
}

TEST_CASE("lookups in plain tensors on a device") {
  if (no_devices()) return;
  std::vector<float> values;
  for (Index i = 0; i < V * D; ++i) values.push_back(static_cast<float>(i) / 7 - 100);
  const std::vector<float> upstream = some_upstream<float>(std::ssize(ids) * D);
  const auto run = [&](Device ids_on, Device device) {
    std::vector<std::vector<float>> left;
    const auto keep_it = [&](const Tensor<float>& x) {
      CHECK(x.device() == device);
      const auto host = x.to(Device{});
      left.emplace_back(host.span().begin(), host.span().end());
    };
    const auto which = Tensor<Index>::from({8, 2}, std::span<const Index>(ids)).to(ids_on);
    auto weight = Tensor<float>::from({V, D}, std::span<const float>(values)).clone().to(device);
    const auto g = Tensor<float>::from({8, 2, D}, std::span<const float>(upstream)).to(device);
    keep_it(functional::embedding(which, std::as_const(weight)));
    keep_it(functional::embedding(which, weight, {.max_norm = 300}));
    keep_it(weight);
    for (const bool scaled : {false, true}) {
      const functional::EmbeddingOptions options{.padding_idx = 3, .scale_grad_by_freq = scaled};
      keep_it(functional::embedding_dense_backward(which, g, V, options));
      const auto rows = functional::embedding_sparse_backward(which, g, V, options);
      CHECK(rows.rows == std::vector<Index>{0, 1, 5, 7, 8, 11, 19, 22});
      keep_it(rows.values);
    }
    CHECK(contains(error_text([&] {
                     (void)functional::embedding(which, Tensor<float>(Shape{20, D}, device));
                   }),
                   "id 22 at position (0, 1)"));
    return left;
  };
  const auto gpu = Partition(world()).cartesian({world().size()}, Device::cuda()).device();
  const auto expected = run(Device{}, Device{});
  CHECK(run(Device{}, gpu) == expected);
  CHECK(run(gpu, gpu) == expected);
}

TEST_CASE("a tensor-parallel table on a device") {
  if (no_devices()) return;
  const auto gpu = Partition(world()).cartesian({world().size()}, Device::cuda()).device();
  const Index ranks = world().size();
  for (const int dim : {0, 1}) {
    const Shape shape{7, 4};
    std::vector<float> part;
    for (Index i = 0; i < 28; ++i) part.push_back(static_cast<float>(100 * world().rank() + i));
    const auto run = [&](Device device) {
      const auto shard = Tensor<float>::from(shape, std::span<const float>(part)).to(device);
      const auto which = Tensor<Index>::from({3}, std::vector<Index>{6, 0, (dim == 0 ? 7 * ranks : 7) - 1});
      const auto rows = TensorParallelEmbedding<float>(shard, {.tp_group = world(), .sharding_dim = dim})(which);
      CHECK(rows.device() == device);
      const auto host = rows.to(Device{});
      return std::vector<float>(host.span().begin(), host.span().end());
    };
    CHECK(run(gpu) == run(Device{}));
  }
}

}  // namespace
}  // namespace tartan
