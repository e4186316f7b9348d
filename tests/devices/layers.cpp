// Layers, tape and optimisers on CUDA devices give the bits that they give on the processor.

#include <tartan/tartan.hpp>

#include "devices/both.hpp"

namespace tartan {
namespace {

using namespace testing;

/// A loss whose gradient differs everywhere: the sum of y·w.
template <class T>
Variable<T> weighed(const Variable<T>& y) {
  return sum(y * Variable<T>(drawn<T>(y.distribution(), "upstream")));
}

/// Forward, backward and two steps of an optimiser, with everything that can be seen.
template <class T, class Layer, class Forward, class Optimizer>
Results<T> trained(Layer& layer, const Forward& forward, Optimizer& optimizer) {
  Results<T> results;
  for (int step = 0; step < 2; ++step) {
    GradientTape tape;
    const Variable<T> y = forward();
    results.emplace_back("output", y.value().full_tensor());
    tape.backward(weighed(y));
    for (const auto& parameter : layer.parameters()) {
      results.emplace_back("gradient of " + parameter.name(), parameter.dense_gradient().full_tensor());
    }
    optimizer.step();
    optimizer.clear_gradients();
    for (const auto& parameter : layer.parameters()) {
      results.emplace_back(parameter.name(), parameter.value().full_tensor());
    }
  }
  return results;
}

TEMPLATE_TEST_CASE("an embedding", "", float, double) {
  for (const bool sparse : {false, true}) {
    for (const auto exchange : {Exchange::table, Exchange::rows}) {
      for (const Placement storage : {Placement(Root{}), Placement(Replicate{}), Placement(Shard{0})}) {
        INFO("sparse " << sparse << ", by rows " << (exchange == Exchange::rows) << ", " << storage.to_string());
        same_on_both<TestType>([&](const CartesianTopology& topology) {
          DistributedEmbedding<TestType> layer(topology, {.num_embeddings = 11,
                                                          .embedding_dim = 7,
                                                          .padding_idx = 5,
                                                          .sparse = sparse,
                                                          .storage = storage,
                                                          .exchange = exchange});
          const auto ids = drawn_ids<std::int64_t>(layer.input_distribution({9, 3}), 11);
          Adagrad<TestType> optimizer(layer.parameters(), {.learning_rate = 0.1});
          return trained<TestType>(
              layer, [&] { return layer(ids); }, optimizer);
        });
      }
    }
  }
}

TEMPLATE_TEST_CASE("an embedding whose gradient is added by atomics", "", float, double, bfloat16) {
  using T = TestType;
  same_on_both<T>([](const CartesianTopology& topology) {
    DistributedEmbedding<T> layer(topology,
                                  {.num_embeddings = 11, .embedding_dim = 7, .padding_idx = 5, .atomics = true});
    const auto ids = drawn_ids<std::int64_t>(layer.input_distribution({90}), 11);
    const auto small = [](std::span<const Index> i) { return static_cast<double>((3 * i[0] + i[1]) % 8); };
    GradientTape tape;  // sums of small integers are exact in any order
    const auto y = layer(ids);
    tape.backward(sum(y * Variable<T>(DistributedTensor<T>::from_function(y.distribution(), small))));
    return Results<T>{{"gradient", layer.weight().dense_gradient().full_tensor()}};
  });
}

TEMPLATE_TEST_CASE("tables side by side whose gradients are added by atomics", "", float, double, half) {
  using T = TestType;
  same_on_both<T>([](const CartesianTopology& topology) {
    DistributedMultiEmbedding<T> layer(
        topology, {.num_embeddings = {5, 40}, .embedding_dim = {3, 8}, .padding_idx = {{}, 7}, .atomics = true});
    const auto ids = DistributedTensor<std::int32_t>::from_function(
        layer.input_distribution({90, 2}), [](auto index) { return (7 * index[0] + index[1]) % (5 + 35 * index[1]); });
    const auto small = [](std::span<const Index> i) { return static_cast<double>((3 * i[0] + i[1]) % 8); };
    GradientTape tape;  // sums of small integers are exact in any order
    const auto y = layer(ids);
    tape.backward(sum(y * Variable<T>(DistributedTensor<T>::from_function(y.distribution(), small))));
    Results<T> results;
    for (const auto& weight : layer.weights()) results.push_back({"gradient", weight.dense_gradient().full_tensor()});
    return results;
  });
}

TEST_CASE("an embedding with its other options") {
  same_on_both<float>([](const CartesianTopology& topology) {
    DistributedEmbedding<float> layer(
        topology,
        {.num_embeddings = 40, .embedding_dim = 70, .max_norm = 2.0, .scale_grad_by_freq = true, .reproducible = true});
    const auto ids = drawn_ids<std::int32_t>(layer.input_distribution({300}), 40);
    RowwiseAdagrad<float> optimizer(layer.parameters(), {.learning_rate = 0.1, .reproducible = true});
    return trained<float>(
        layer, [&] { return layer(ids); }, optimizer);
  });
}

TEST_CASE("bags in every mode, with offsets and weights") {
  for (const auto mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
    same_on_both<float>([&](const CartesianTopology& topology) {
      DistributedEmbeddingBag<float> layer(topology, {.num_embeddings = 13, .embedding_dim = 9, .padding_idx = 2},
                                           {.mode = mode});
      const auto ids = drawn_ids<std::int64_t>(layer.input_distribution({6, 5}), 13);
      const bool weigh = mode == BagMode::sum;
      const auto weights = weigh ? Variable<float>(drawn<float>(ids.distribution(), "weights")) : Variable<float>();
      Sgd<float> optimizer(layer.parameters(), {.learning_rate = 0.1});
      return trained<float>(
          layer, [&] { return layer(ids, weights); }, optimizer);
    });
  }
}

TEST_CASE("many tables side by side") {
  for (const bool sparse : {false, true}) {
    same_on_both<float>([&](const CartesianTopology& topology) {
      DistributedMultiEmbedding<float> layer(
          topology,
          {.num_embeddings = {5, 300, 2, 17}, .embedding_dim = {3, 8, 1, 20}, .padding_idx = {}, .sparse = sparse});
      const auto ids = DistributedTensor<std::int32_t>::from_function(
          layer.input_distribution({10, 4}),
          [](auto index) { return (3 * index[0] + index[1]) % (index[1] == 2 ? 2 : 5); });
      Adagrad<float> optimizer(layer.parameters(), {.learning_rate = 0.1});
      return trained<float>(
          layer, [&] { return layer(ids); }, optimizer);
    });
  }
}

TEST_CASE("prompts beside a text table") {
  same_on_both<float>([](const CartesianTopology& topology) {
    DistributedPromptEmbedding<float> layer(topology, {.num_embeddings = 12, .embedding_dim = 6},
                                            {.tasks = 3, .prompt_length = 2});
    const auto ids = drawn_ids<std::int32_t>(layer.input_distribution({6, 4}), 14);
    const auto tasks = drawn_ids<std::int32_t>(layer.input_distribution({6}), 3, "tasks");
    Sgd<float> optimizer(layer.parameters(), {.learning_rate = 0.1});
    return trained<float>(
        layer, [&] { return layer(ids, tasks); }, optimizer);
  });
}

/// Largest difference relative to the largest magnitude.
template <class T>
double difference(const Tensor<T>& a, const Tensor<T>& b) {
  double largest = 0, scale = 0;
  for (Index i = 0; i < a.elements(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    scale = std::max(scale, std::abs(static_cast<double>(b[i])));
  }
  return scale == 0 ? largest : largest / scale;
}

TEST_CASE("linear layers and a loss differ by rounding only") {
  if (no_devices()) return;
  const Partition all(world());
  for (const std::optional<int> dim : {std::optional<int>(), std::optional(0), std::optional(1)}) {
    const auto run = [&](Device device) {
      const auto topology = all.cartesian({1, all.size()}, device);
      DistributedLinear<double> layer(topology, {.in_features = 6, .out_features = 7, .dim = dim});
      const auto x = drawn<double>(layer.input_distribution({5, 6}), "x");
      Adam<double> optimizer(layer.parameters(), {.learning_rate = 0.01});
      Results<double> results;
      for (int step = 0; step < 2; ++step) {
        GradientTape tape;
        const auto y = redistribute(relu(layer(Variable<double>(x))), Replicate{});
        const auto labels = DistributedTensor<double>::constant(y.distribution(), 0.25);
        const auto loss = binary_cross_entropy_with_logits(y, labels);
        tape.backward(loss);
        optimizer.step();
        optimizer.clear_gradients();
        results.emplace_back("output", y.value().full_tensor());
        results.emplace_back("loss", redistribute(loss, Replicate{}).value().full_tensor());
        for (const auto& p : layer.parameters()) results.emplace_back(p.name(), p.value().full_tensor());
      }
      return results;
    };
    const auto expected = run(Device{});
    const auto found = run(Device::cuda());
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      INFO(found[i].first);
      CHECK(found[i].second.shape() == expected[i].second.shape());
      CHECK(difference(found[i].second, expected[i].second) < 1e-12);
    }
  }
}

TEST_CASE("ids out of range are refused on every rank, made on the host or the device, and the device goes on") {
  if (no_devices()) return;
  const Partition all(world());
  const auto topology = all.cartesian({all.size(), 1, 1}, Device::cuda());
  DistributedEmbedding<float> layer(topology, {.num_embeddings = 10, .embedding_dim = 4});
  const auto d = layer.input_distribution({4 * all.size()});
  for (const bool on_host : {true, false}) {
    auto ids = DistributedTensor<std::int64_t>::from_function(d, [&](auto i) { return i[0] == 2 ? 10 : i[0] % 10; });
    if (!on_host) ids = ids.clone();  // a copy that was never on the host
    try {
      (void)layer(ids);
      FAIL("an id that is out of range was taken");
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find("10 at position (2)") != std::string::npos);
    }
  }
  const auto good = drawn_ids<std::int64_t>(d, 10);
  CHECK(layer(good).value().full_tensor().elements() == 16 * all.size());
}

}  // namespace
}  // namespace tartan
