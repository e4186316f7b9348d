// The modules of LayerNorm and RMSNorm: their parameters, defaults and what they send.

#include <tartan/nn/normalization.hpp>

#include <limits>

#include <tartan/comm/recorder.hpp>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

TEST_CASE("normalisation starts with ones and zeros and PyTorch's epsilons") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const DistributedLayerNorm<float> layer(topology, {.name = "first", .features = 6});
  REQUIRE(layer.parameters().size() == 2);
  CHECK(layer.parameter("first.weight").distribution() == Distribution(topology, {6}, {Replicate{}}));
  const auto weight = layer.weight().value().local_on_host();
  const auto bias = layer.bias().value().local_on_host();
  for (const float value : weight.span()) CHECK(value == 1);
  for (const float value : bias.span()) CHECK(value == 0);
  CHECK(layer.options().epsilon == 1e-5);
  const DistributedRMSNorm<double> rms(topology, {.features = 6, .features_axis = 0});
  REQUIRE(rms.parameters().size() == 1);
  CHECK(rms.weight().distribution() == Distribution(topology, {6}, {Shard{0}}));
  CHECK(rms.options().epsilon == std::numeric_limits<double>::epsilon());
  CHECK(DistributedLayerNorm<float>(topology, {.features = 6, .weight = false, .bias = false}).parameters().empty());

  const auto numbers = [](std::span<const Index> i) { return static_cast<float>(i[0] * 6 + i[1] * i[1]); };
  const Variable<float> x(DistributedTensor<float>::from_function({topology, {2, 6}, {Shard{0}}}, numbers));
  const auto y = layer(x).value();
  const auto plain = functional::layer_norm(x).value();
  for (Index i = 0; i < y.local().elements(); ++i) CHECK(y.local_on_host()[i] == plain.local_on_host()[i]);
}

TEST_CASE("normalisation sends nothing for split rows, one collective each way for split features") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const bool several = world().size() > 1;
  const auto sent = [&](const auto& layer, Placement placement) {
    const auto x =
        Variable<float>::parameter("x", DistributedTensor<float>::constant({topology, {6, 5}, {placement}}, 1));
    CommRecorder recorder;
    GradientTape tape;
    const auto y = layer(x);
    std::vector<Index> calls{recorder.count()};
    CHECK(recorder.count(Collective::all_gather) == recorder.count());
    recorder.clear();
    tape.backward(sum(y));
    calls.push_back(recorder.count());
    CHECK(recorder.count(Collective::all_reduce) == recorder.count());
    return calls;
  };
  const std::vector<Index> one_each{several ? 1 : 0, several ? 1 : 0};
  const std::vector<Index> parameters_only{0, several ? 1 : 0};
  const std::vector<Index> nothing{0, 0};
  const DistributedLayerNorm<float> split(topology, {.features = 5, .features_axis = 0});
  const DistributedRMSNorm<float> split_rms(topology, {.features = 5, .features_axis = 0});
  const DistributedLayerNorm<float> whole(topology, {.features = 5});
  CHECK(sent(split, Shard{1}) == one_each);
  CHECK(sent(split_rms, Shard{1}) == one_each);
  CHECK(sent(whole, Shard{0}) == parameters_only);  // both in one message
  CHECK(sent(whole, Replicate{}) == nothing);
}

TEST_CASE("normalisation refuses options that do not fit, on every rank") {
  const auto topology = Partition(world()).cartesian({world().size()});
  SameTexts texts;
  const auto refuses = [&](const std::string& part, const NormalizationOptions& options) {
    for (const auto& text : {texts.of([&] { DistributedLayerNorm<float>(topology, options); }),
                             texts.of([&] { DistributedRMSNorm<float>(topology, options); })}) {
      INFO(text);
      CHECK(contains(text, part));
    }
  };
  refuses("features of at least 1", {});
  refuses("epsilon of at least 0", {.features = 3, .epsilon = -1.0});
  refuses("axis 1 of a grid of 1", {.features = 3, .features_axis = 1});
  texts.verify();
}

TEST_CASE("a normalisation of x that lies otherwise says what to do with x or with the layer") {
  const auto topology = Partition(world()).cartesian({1, world().size()});
  const auto on = [&](Placement placement) {
    return Variable<float>(DistributedTensor<float>::zeros({topology, {4, 6}, {Shard{0}, placement}}));
  };
  SameTexts texts;
  const DistributedLayerNorm<float> whole(topology, {.features = 6});
  const std::string or_axis = world().size() > 1 ? ".features_axis = 1 or " : "";
  CHECK(contains(texts.of([&] { whole(on(Shard{1})); }),
                 "redistribute(weight, [Replicate, Shard(0)]), or where a layer has it, " + or_axis +
                     "redistribute(x, [Shard(0), Replicate])"));
  const DistributedRMSNorm<float> split(topology, {.features = 6, .features_axis = 1});
  CHECK(contains(texts.of([&] { split(on(Replicate{})); }),
                 "redistribute(weight, [Replicate, Replicate]), or where a layer has it, redistribute(x, [Shard(0), "
                 "Shard(1)])"));
  CHECK_FALSE(contains(texts.of([&] { DistributedRMSNorm<float>(topology, {.features = 5})(on(Replicate{})); }),
                       "redistribute"));
  texts.verify();
}

}  // namespace
}  // namespace tartan
