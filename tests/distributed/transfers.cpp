#include <array>
#include <numeric>

#include <tartan/base/random.hpp>

#include "distributed/moves.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

/// Rank sets of every relation to each other: all, overlapping, disjoint, one inside the other, in other orders.
std::vector<Partition> partitions() {
  const int n = world().size();
  const Partition all(world());
  const auto some = [&](int begin, int end, int step) {
    std::vector<int> positions;
    for (int i = begin; step > 0 ? i < end : i > end; i += step) positions.push_back(i);
    return all.subset(positions);
  };
  std::vector<Partition> result{all};
  for (const auto& partition : {some(n - 1, -1, -1), some(0, (n + 1) / 2, 1), some(n / 2, n, 1), some(n - 1, n - 2, -1),
                                some(n / 4, n / 4 + (n + 1) / 2, 1), some(n - 1, -1, -2)}) {
    if (std::ranges::find(result, partition) == result.end()) result.push_back(partition);
  }
  return result;
}

TEST_CASE("every placement moves between any two topologies, forward and adjoint, with exact values") {
  const Shape shape{7, 3};
  std::vector<std::vector<Laid<double>>> sides;
  for (const auto& partition : partitions()) {
    const auto topology = partition.cartesian({partition.size()});
    auto& side = sides.emplace_back();
    for (const auto& placements : all_placements(1, 2)) side.emplace_back(Distribution(topology, shape, placements));
  }
  for (const auto& from_side : sides) {
    Sums sums;
    for (const auto& to_side : sides) {
      for (const auto& from : from_side) {
        for (const auto& to : to_side) check_move(from, to, sums);
      }
    }
    sums.verify();
  }
}

TEST_CASE("copies along a Replicate axis consist of the same terms, so that the next move finds the same sum") {
  const int n = world().size();
  const Partition all(world());
  std::vector<int> backwards;
  for (int rank = n - 1; rank >= 0; --rank) backwards.push_back(rank);
  for (const auto& grid : factorisations(n, 2)) {
    const auto here = all.cartesian(grid);
    const auto there = all.subset(backwards).cartesian(grid);
    for (const auto& placements : all_placements(2, 2)) {
      for (const auto& between : all_placements(2, 2)) {
        const Distribution from(here, Shape{5, 4}, placements);
        const Distribution to(there, Shape{5, 4}, between);
        INFO(from.to_string() << " -> " << to.to_string());
        const auto moved = redistribute(laid_out<double>(from, forward_numbers), to);
        const auto whole =
            redistribute(moved, Distribution(here, Shape{5, 4}, {Replicate{}, Replicate{}})).full_tensor();
        for (Index i = 0; i < whole.elements(); ++i) CHECK(whole[i] == static_cast<double>(forward_numbers(i)));
      }
    }
  }
}

TEST_CASE("grids of several axes on any two sets of ranks: fixed random pairs have exact values") {
  const RandomStream stream(1, "transfers");
  Index drawn = 0;
  const auto draw = [&](std::size_t bound) {
    return static_cast<std::size_t>(stream.below(drawn++, static_cast<Index>(bound)));
  };
  std::vector<CartesianTopology> topologies;
  for (const auto& partition : partitions()) {
    for (const int axes : {2, 3}) {
      const auto grids = factorisations(partition.size(), axes);
      topologies.push_back(partition.cartesian(grids[draw(grids.size())]));
      topologies.push_back(partition.cartesian(grids[grids.size() / 2]));
    }
  }
  const std::vector<Shape> shapes{{}, {9}, {5, 4}, {3, 5, 2}};
  Sums sums;
  for (int trial = 0; trial < 600; ++trial) {
    const auto& shape = shapes[draw(shapes.size())];
    const auto side = [&] {
      const auto& topology = topologies[draw(topologies.size())];
      const int axes = topology.grid().axes();
      const auto choices = all_placements(axes, shape.dimensions());
      std::vector<int> nesting(static_cast<std::size_t>(axes));
      std::iota(nesting.begin(), nesting.end(), 0);
      std::ranges::rotate(nesting, nesting.begin() + static_cast<std::ptrdiff_t>(draw(nesting.size())));
      return Laid<double>(Distribution(topology, shape, choices[draw(choices.size())], {.nesting = nesting}));
    };
    const auto from = side();
    const auto to = side();
    check_move(from, to, sums);
  }
  sums.verify();
}

TEST_CASE("the adjoint defect of transfers is rounding") {
  const auto all = partitions();
  for (const auto& a : all) {
    for (const auto& b : {all.front(), all.back()}) {
      const auto from = a.cartesian({a.size()});
      const auto to = b.cartesian({1, b.size()});
      for (const auto& placements : all_placements(1, 2)) {
        const Distribution domain(from, {7, 5}, placements);
        const Distribution range(to, {7, 5}, {Partial{}, Shard{1}});
        INFO(domain.to_string() << " -> " << range.to_string());
        CHECK(adjoint_defect(Redistribution(domain, range)) < 1e-14);
        CHECK(adjoint_defect(Redistribution(range, domain)) < 1e-14);
      }
    }
  }
}

TEST_CASE("an element goes once from each source term to each target copy, and not at all where it may stay") {
  const int n = world().size();
  const Partition all(world());
  const auto topology = all.cartesian({n});
  const auto backwards = partitions()[n > 1 ? 1 : 0].cartesian({n});
  const auto sent = [&](const Placement& from, const Placement& to) {
    return Redistribution({topology, {8, 3}, {from}}, {backwards, {8, 3}, {to}}).elements_sent();
  };
  CHECK(sent(Replicate{}, Replicate{}) == 0);
  CHECK(sent(Replicate{}, Shard{0}) == 0);
  CHECK(sent(Partial{}, Partial{}) == 0);
  CHECK(sent(Root{}, Root{}) == (n > 1 ? 24 : 0));
  CHECK(sent(Root{}, Replicate{}) == 24 * (n - 1));
  CHECK(sent(Partial{}, Root{}) == 24 * (n - 1));
  CHECK(sent(Shard{0}, Replicate{}) == 24 * (n - 1));
}

TEST_CASE("of several copies the one on the lowest rank is sent, and terms are added in the order of ranks") {
  const int n = world().size();
  if (n < 4) return;
  const Partition all(world());
  const auto copies = all.subset({2, 1, 0}).cartesian({3});
  const auto last = all.subset({n - 1}).cartesian({1});
  const auto x = laid_out<double>(Distribution(copies, {5}, {Replicate{}}));
  {
    const CommRecorder recorder;
    redistribute(x, Distribution(last, {5}, {Replicate{}}));
    CHECK(recorder.bytes() == (world().rank() == 0 ? 5 * 8 : 0));
  }
  const std::array<double, 3> terms{1e16, 3, -1e16};  // on ranks 0, 1, 2; another order gives another sum
  Tensor<double> part(x.local().shape());
  if (copies.active()) part.fill(terms[static_cast<std::size_t>(world().rank())]);
  const auto y = DistributedTensor<double>::from_local(x.distribution().dual(), part);
  const auto sum = redistribute(y, Distribution(last, {5}, {Replicate{}}));
  for (const double element : sum.local().span()) CHECK(element == (1e16 + 3) - 1e16);
}

TEST_CASE("topologies without a common root exchange nothing") {
  if (world().size() == 1) return;
  const Partition reversed(world().split(0, -world().rank(), "reversed"));
  const Distribution from(Partition(world()).cartesian({world().size()}), {4}, {Shard{0}});
  const Distribution to(reversed.cartesian({world().size()}), {4}, {Shard{0}});
  CHECK(contains(error_text([&] { Redistribution(from, to); }), "without a common root"));
}

}  // namespace
}  // namespace tartan
