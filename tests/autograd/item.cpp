// The number that a 0-d tensor is, on every rank.

#include <tartan/autograd/item.hpp>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

TEST_CASE("item() is the same number on every rank, in any placement, also where ranks are inactive") {
  for (const auto& partition : partitions()) {
    for (const auto& topology : topologies(partition)) {
      for (const auto& placements : all_placements(topology.grid().axes(), 0)) {
        const Distribution d(topology, Shape{}, placements);
        INFO(d.to_string());
        CHECK(item(DistributedTensor<double>::constant(d, 2.5)) == 2.5);
        CHECK(item(Variable<float>(DistributedTensor<float>::constant(d, -3))) == -3);
        CHECK(item(DistributedTensor<Index>::constant(d, 7)) == 7);
      }
    }
  }
}

TEST_CASE("item() of more than one number is refused on every rank") {
  const auto topology = Partition(world()).cartesian({world().size()});
  SameTexts texts;
  const auto x = DistributedTensor<double>::zeros({topology, {1}, {Replicate{}}});
  CHECK(contains(texts.of([&] { item(x); }), "without dimensions"));
  texts.verify();
}

}  // namespace
}  // namespace tartan
