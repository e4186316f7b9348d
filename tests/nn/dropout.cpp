// The dropout layer: another mask at each call, the same on every grid.

#include <tartan/nn/dropout.hpp>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

TEST_CASE("each call of a dropout layer has a mask of its own, the same on every grid") {
  Batch batch;
  std::vector<Flat> seen;
  for (const auto& topology : topologies(Partition(world()))) {
    for (const auto& placements : all_placements(topology.grid().axes(), 2)) {
      DistributedDropout layer({.name = "first", .p = 0.25, .seed = 3});
      const Distribution d(topology, {4, 5}, placements);
      for (const char* call : {"first, call 0", "first, call 1"}) {
        const RandomStream stream(3, call);
        Flat expected;
        for (Index i = 0; i < 20; ++i) {
          const auto bits = stream.bits(i / 4)[static_cast<std::size_t>(i % 4)];
          expected.push_back(static_cast<double>(bits) < 0x1p30 ? 0 : static_cast<double>(i + 1) / 0.75);
        }
        check_logical(layer(Variable<double>(laid_out<double>(d))).value(), expected, 1e-13, call, batch);
        seen.push_back(expected);
      }
      CHECK(layer.calls() == 2);
    }
  }
  CHECK(seen[0] != seen[1]);
  batch.verify();
}

TEST_CASE("a dropout layer that does not train gives what it gets") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const Variable<float> x(DistributedTensor<float>::constant({topology, {4}, {Shard{0}}}, 2));
  DistributedDropout layer({.p = 0.9});
  layer.set_training(false);
  CHECK(layer(x).value().local().data() == x.value().local().data());
  CHECK(layer.calls() == 0);
  DistributedDropout none({.p = 0});
  CHECK(none(x).value().local().data() == x.value().local().data());
  SameTexts texts;
  CHECK(contains(texts.of([&] { DistributedDropout({.p = 1.5}); }), "from 0 to 1"));
  texts.verify();
}

}  // namespace
}  // namespace tartan
