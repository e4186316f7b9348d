#include <tartan/comm/agreement.hpp>
#include <tartan/device/cuda.hpp>
#include <tartan/partition/cartesian_topology.hpp>

#include <numeric>

#include <tartan/comm/recorder.hpp>

#include "partition/oracle.hpp"
#include "support/catch.hpp"
#include "support/error_text.hpp"
#include "support/world.hpp"

namespace tartan {
namespace {

using namespace testing;

/// The ranks of `communicator` as ranks of the world, in its order.
std::vector<int> members(const Communicator& communicator) {
  if (communicator.is_null()) return {};
  std::vector<std::int32_t> all(static_cast<std::size_t>(communicator.size()));
  const std::int32_t mine = world().rank();
  const std::vector<Index> counts(all.size(), 1);
  communicator.all_gather(std::span(&mine, 1), std::span(all), counts);
  return {all.begin(), all.end()};
}

std::vector<int> numbers(int begin, int end, int step = 1) {
  std::vector<int> result;
  for (int i = begin; step > 0 ? i < end : i > end; i += step) result.push_back(i);
  return result;
}

/// A partition must hold `ranks` of the world, in that order, here and in its communicator.
void check_partition(const Partition& partition, const std::vector<int>& ranks) {
  CHECK(partition.ranks() == ranks);
  CHECK(partition.size() == static_cast<int>(ranks.size()));
  const auto found = std::ranges::find(ranks, world().rank());
  CHECK(partition.active() == (found != ranks.end()));
  CHECK(partition.rank() == (found != ranks.end() ? static_cast<int>(found - ranks.begin()) : -1));
  CHECK(partition.communicator().is_null() == !partition.active());
  if (partition.active()) CHECK(members(partition.communicator()) == ranks);
}

TEST_CASE("partitions hold the ranks asked for, in the order asked for") {
  const int n = world().size();
  const Partition all(world());
  check_partition(all, numbers(0, n));
  for (int count = 1; count <= n; ++count) check_partition(all.first(count), numbers(0, count));

  const auto backwards = all.subset(numbers(n - 1, -1, -1));
  check_partition(backwards, numbers(n - 1, -1, -1));
  check_partition(backwards.first((n + 1) / 2), numbers(n - 1, n - 1 - (n + 1) / 2, -1));
  check_partition(backwards.subset({0}), {n - 1});
  check_partition(backwards.subset(backwards.ranks()), numbers(0, n));  // positions of the partition, not ranks

  const auto odd = n > 1 ? all.subset(numbers(1, n, 2)) : all;
  const auto last = all.subset({n - 1});
  auto expected = last.ranks();
  for (const int rank : odd.ranks()) {
    if (rank != n - 1) expected.push_back(rank);
  }
  check_partition(last.unite(odd), expected);
  check_partition(odd.unite(odd), odd.ranks());
}

TEST_CASE("partitions are equal where root, ranks and order are") {
  const int n = world().size();
  const Partition all(world());
  CHECK(all == Partition(world()));
  CHECK(all == all.first(n));
  CHECK(all == all.subset(numbers(0, n)));
  CHECK((all == all.subset(numbers(n - 1, -1, -1))) == (n == 1));
  CHECK((all.first(1) == all) == (n == 1));
  CHECK(all.shares_root_with(all.first(1)));
  CHECK(all == Partition(world().dup("another")));
  const Partition reversed(world().split(0, -world().rank(), "reversed"));
  CHECK((all == reversed) == (n == 1));
  CHECK(all.shares_root_with(reversed) == (n == 1));
  CHECK(Partition() == Partition());
  CHECK(Partition() != all);
}

TEST_CASE("impossible partitions are refused on every rank") {
  const int n = world().size();
  const Partition all(world());
  CHECK(contains(error_text([&] { all.first(n + 1); }), "the first " + std::to_string(n + 1) +
                                                            " ranks of a partition of " + std::to_string(n) +
                                                            " were asked for: start"));
  CHECK_THROWS_AS(all.first(0), Error);
  CHECK(contains(error_text([&] { all.subset({0, n}); }), "rank " + std::to_string(n) + " does not exist"));
  CHECK(contains(error_text([&] { all.subset({-1}); }), "rank -1 does not exist"));
  CHECK(error_text([&] { all.subset({0, 0}); }) == "rank 0 is named twice");
  CHECK_THROWS_AS(all.subset(std::vector<int>{}), Error);
  CHECK(contains(error_text([&] {
                   all.cartesian({n, 2});
                 }),
                 "a grid of " + std::to_string(n) + " x 2 needs " + std::to_string(2 * n) +
                     " ranks, but the partition has " + std::to_string(n) + ": start"));
  CHECK(contains(error_text([&] { all.cartesian({n, 0}); }), "empty axis"));
  const bool odd = world().rank() == n - 1;
  for (const auto how : {Checks::local, Checks::collective}) {
    const auto before = checks();
    set_checks(how);
    if (n > 1) {
      CHECK(contains(error_text([&] {
                       (void)all.cartesian(odd ? Shape{1, n} : Shape{n, 1});
                     }),
                     "the shape of a grid differs between the ranks"));
      CHECK(contains(error_text([&] { (void)all.cartesian(odd ? Shape{2 * n} : Shape{n}); }),
                     " ranks, but the partition has "));
    }
    if (!cuda::built_in()) {
      CHECK(
          contains(error_text([&] { (void)all.cartesian({n}, odd ? Device::cuda() : Device{}); }), "CPU support only"));
    }
    set_checks(before);
  }
  if (n > 1) {
    const Partition reversed(world().split(0, -world().rank(), "reversed"));
    CHECK(contains(error_text([&] { all.unite(reversed); }), "without a common root"));
  }
  CHECK_THROWS_AS(Partition().size(), Error);
  CHECK_THROWS_AS(CartesianTopology().grid(), Error);
  CHECK_THROWS_AS(Partition(Communicator()), Error);
}

/// Every rank of `partition` as a grid of `shape`: coordinates, axis communicators, sub-grids, neighbours.
void check_topology(const Partition& partition, const Shape& shape) {
  const auto topology = partition.cartesian(shape);
  INFO(shape.to_string());
  CHECK(topology.grid() == Grid(shape));
  CHECK(topology.partition() == partition);
  CHECK(topology == partition.cartesian(shape));
  CHECK(topology.active() == partition.active());
  CHECK(topology.size() == partition.size());
  const int axes = shape.dimensions();
  if (!topology.active()) {
    CHECK_THROWS_AS(topology.coordinates(), Error);
    for (int axis = 0; axis < axes; ++axis) {
      CHECK(topology.axis(axis).is_null());
      CHECK_THROWS_AS(topology.neighbour(axis, 1), Error);
    }
  } else {
    const std::vector<Index> index = shape.index(partition.rank());
    CHECK(topology.coordinates() == std::vector<int>(index.begin(), index.end()));
    for (int axis = 0; axis < axes; ++axis) {
      const auto a = static_cast<std::size_t>(axis);
      const auto at = [&](Index coordinate) {
        auto there = index;
        there[a] = coordinate;
        return static_cast<int>(shape.flat(there));
      };
      std::vector<int> expected;
      for (Index c = 0; c < shape[axis]; ++c) expected.push_back(partition.ranks()[static_cast<std::size_t>(at(c))]);
      CHECK(members(topology.axis(axis)) == expected);
      CHECK(topology.axis(axis).rank() == index[a]);
      for (const int steps : {-5, -1, 0, 1, 2, 9}) {
        const Index there = index[a] + steps;
        const bool inside = 0 <= there && there < shape[axis];
        CHECK(topology.neighbour(axis, steps) == (inside ? std::optional(at(there)) : std::nullopt));
        CHECK(topology.neighbour(axis, steps, true) == at((there + 10 * shape[axis]) % shape[axis]));
      }
    }
    CHECK_THROWS_AS(topology.neighbour(axes, 1), Error);
  }
  CHECK_THROWS_AS(topology.axis(axes), Error);
  CHECK_THROWS_AS(topology.axis(-1), Error);

  for (int chosen = 0; chosen < 1 << axes; ++chosen) {
    std::vector<int> along;
    std::vector<Index> extents;
    for (int axis = 0; axis < axes; ++axis) {
      if ((chosen >> axis & 1) == 0) continue;
      along.push_back(axis);
      extents.push_back(shape[axis]);
    }
    const auto sub = topology.along(along);
    CHECK(sub.grid().shape() == Shape(extents));
    CHECK(sub.active() == topology.active());
    if (!topology.active()) continue;
    std::vector<int> expected;
    for (int position = 0; position < topology.size(); ++position) {
      bool here = true;
      for (int axis = 0; axis < axes; ++axis) {
        here = here && ((chosen >> axis & 1) != 0 || topology.grid().coordinate(position, axis) ==
                                                         topology.grid().coordinate(topology.rank(), axis));
      }
      if (here) expected.push_back(partition.ranks()[static_cast<std::size_t>(position)]);
    }
    CHECK(members(sub.communicator()) == expected);
    CHECK(members(sub.root()) == expected);
  }
}

TEST_CASE("topologies over all, some and permuted ranks") {
  const int n = world().size();
  const Partition all(world());
  const std::vector<Partition> partitions{all, all.first((n + 1) / 2), all.subset(numbers(n - 1, -1, -1)),
                                          all.subset(numbers(n / 2, n))};
  for (const auto& partition : partitions) {
    for (const int axes : {1, 2, 3}) {
      for (const auto& shape : factorisations(partition.size(), axes)) check_topology(partition, shape);
    }
  }
  CHECK((all.cartesian({n, 1}) == all.cartesian({1, n})) == (n == 1));
  CHECK(all.cartesian({n}) == all.first(n).cartesian({n}));
  CHECK((all.cartesian({n}) == partitions[2].cartesian({n})) == (n == 1));
  const auto grid = all.cartesian({1, n});
  CHECK(contains(error_text([&] { grid.along({1, 0}); }), "not in increasing order"));
  CHECK(contains(error_text([&] { grid.along({1, 1}); }), "not distinct axes"));
  CHECK(contains(error_text([&] { grid.along({2}); }), "not distinct axes"));
}

TEST_CASE("a distribution belongs to its topology") {
  const int n = world().size();
  const Partition all(world());
  const Distribution d(all.cartesian({n}), {8, 3}, {Shard{0}});
  CHECK(d == Distribution(Partition(world()).cartesian({n}), {8, 3}, {Shard{0}}));
  CHECK(d != Distribution(Grid(Shape{n}), {8, 3}, {Shard{0}}));
  CHECK((d == Distribution(all.subset(numbers(n - 1, -1, -1)).cartesian({n}), {8, 3}, {Shard{0}})) == (n == 1));
  CHECK(d.with({Root{}}).topology() == d.topology());
  CHECK(d.with_shape({4}).topology() == d.topology());
  CHECK(d.dual().topology() == d.topology());
  CHECK(d.topology().active());
}

TEST_CASE("copies and getters of partitions and topologies do not communicate") {
  const Partition all(world());
  const auto topology = all.cartesian({1, world().size()});
  const CommRecorder recorder;
  if (world().rank() == 0) {  // would hang if any of this were collective
    const auto copy = topology;
    const auto partition = all;
    CHECK(copy == topology);
    CHECK(partition == all);
    CHECK(copy.axis(1).size() == world().size());
    CHECK(copy.coordinates() == std::vector<int>{0, 0});
  }
  CHECK(recorder.records().empty());
}

TEST_CASE("thousands of topologies leave no communicator behind") {
  const Partition all(world());
  const Shape shape{1, all.size()};
  // MPI gives out the lowest free handle: where communicators stay behind, the next one is that much higher.
  const auto next_handle = [&] { return MPI_Comm_c2f(all.cartesian(shape).axis(1).native()); };
  const auto before = next_handle();
  const int cycles = all.size() <= 4 ? 10'000 : 2'000;  // making one costs more the more ranks share a core
  for (int cycle = 0; cycle < cycles; ++cycle) {
    if (cycle % 100 == 0) (void)all.first((all.size() + 1) / 2).cartesian({(all.size() + 1) / 2, 1});
    const auto topology = all.cartesian({all.size()});
    if (topology.axis(0).size() != all.size()) FAIL("the axis communicator has another size");
  }
  CHECK(next_handle() == before);
}

}  // namespace
}  // namespace tartan
