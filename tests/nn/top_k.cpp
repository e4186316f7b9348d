// The greatest classes of rows that are cut in every way.

#include <tartan/nn/cross_entropy.hpp>
#include <tartan/nn/top_k.hpp>

#include <algorithm>
#include <numeric>

#include "autograd/check_placements.hpp"
#include "nn/traffic.hpp"

namespace tartan {
namespace {

using namespace testing;

TEST_CASE("top_k and argmax find the same classes however rows and classes are cut") {
  const Shape shape{3, 2, 7};
  const auto value = [](Index flat) { return static_cast<double>(flat * 5 % 9); };  // with ties
  std::vector<CartesianTopology> grids;
  for (const auto& partition : partitions()) {
    for (const auto& topology : topologies(partition)) grids.push_back(topology);
  }
  for (const auto& topology : grids) {
    for (const auto& placements : all_placements(topology.grid().axes(), 3)) {
      const Distribution d(topology, shape, placements);
      if (d.any(Placement::Kind::partial) || d.any(Placement::Kind::root)) continue;
      INFO(d.to_string());
      const auto x =
          DistributedTensor<double>::from_function(d, [&](std::span<const Index> i) { return value(shape.flat(i)); });
      for (const Index k : {1, 3, 7}) {
        const auto best = top_k(x, k);
        const auto values = best.values.full_tensor();
        const auto classes = best.classes.full_tensor();
        for (Index r = 0; r < (topology.active() ? 6 : 0); ++r) {
          std::vector<Index> order(7);
          std::iota(order.begin(), order.end(), Index{0});
          std::ranges::stable_sort(order, [&](Index a, Index b) { return value(r * 7 + a) > value(r * 7 + b); });
          for (Index i = 0; i < k; ++i) {
            CHECK(classes[r * k + i] == order[static_cast<std::size_t>(i)]);
            CHECK(values[r * k + i] == value(r * 7 + order[static_cast<std::size_t>(i)]));
          }
        }
        if (k > 1) continue;
        const auto greatest = argmax(x);
        CHECK(greatest.distribution() == target_distribution(d));
        const auto one = greatest.full_tensor();
        CHECK(std::ranges::equal(one.span(), classes.span()));
      }
    }
  }
}

TEMPLATE_TEST_CASE("top_k ranks NaN first, equal zeros by class and -infinity last", "", float, double, bfloat16,
                   half) {
  using T = TestType;
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> row{-INFINITY, nan, 2, 2, -0.0, 0, nan, INFINITY};
  const std::vector<Index> order{1, 6, 7, 2, 3, 4, 5, 0};
  const Index count = std::ssize(row);
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto x = DistributedTensor<T>::from_function(
      {topology, {1, count}, {Shard{1}}}, [&](auto i) { return static_cast<T>(row[static_cast<std::size_t>(i[1])]); });
  for (Index k = 1; k <= count; ++k) {
    const auto best = top_k(x, k);
    const auto values = best.values.full_tensor();
    const auto classes = best.classes.full_tensor();
    REQUIRE(classes.elements() == k);
    for (Index i = 0; i < k; ++i) {
      const auto expected = order[static_cast<std::size_t>(i)];
      CHECK(classes[i] == expected);
      const auto value = static_cast<double>(values[i]);
      CHECK((value == row[static_cast<std::size_t>(expected)] || (std::isnan(value) && i < 2)));
    }
  }
}

TEST_CASE("top_k sends one all-gather of k pairs for each row") {
  const Index ranks = world().size(), rows = 5, k = 2;
  const auto topology = Partition(world()).cartesian({ranks});
  const auto x = DistributedTensor<float>::zeros({topology, {rows, 9}, {Shard{1}}});
  Plan plan;
  // check_plan() counts elements of four bytes.
  if (ranks > 1) plan.push_back({Collective::all_gather, ranks * (ranks - 1) * rows * k * 4});
  check_plan("forward", sent_by([&] { top_k(x, k); }), plan);
}

TEST_CASE("a k that the classes do not have is refused on every rank") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto x = DistributedTensor<float>::zeros({topology, {4, 5}, {Shard{1}}});
  SameTexts texts;
  CHECK(contains(texts.of([&] { top_k(x, 0); }), "a k from 1 to 5"));
  CHECK(contains(texts.of([&] { top_k(x, 6); }), "not 6"));
  CHECK(contains(texts.of([&] {
    top_k(DistributedTensor<float>::zeros({topology, {4, 5}, {Partial{}}}), 1);
  }),
                 "Partial"));
  texts.verify();
}

}  // namespace
}  // namespace tartan
