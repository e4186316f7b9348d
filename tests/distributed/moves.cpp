#include "distributed/moves.hpp"

#include <tartan/base/random.hpp>

namespace tartan {
namespace {

using namespace testing;

std::vector<Distribution> all_distributions(const CartesianTopology& topology, const Shape& shape) {
  std::vector<Distribution> all;
  for (auto& placements : all_placements(topology.grid().axes(), shape.dimensions())) {
    all.emplace_back(topology, shape, std::move(placements));
  }
  return all;
}

/// Calls body(topology) for every grid of `axes` axes over all ranks.
template <class Body>
void on_every_grid(int axes, Body body) {
  for (const auto& shape : factorisations(world().size(), axes)) body(Partition(world()).cartesian(shape));
}

template <class T>
void check_all_pairs(const CartesianTopology& topology, const Shape& shape) {
  const auto all = laid_all<T>(all_distributions(topology, shape));
  Sums sums;
  for (const auto& from : all) {
    for (const auto& to : all) check_move(from, to, sums);
  }
  sums.verify();
}

TEMPLATE_TEST_CASE("one axis: every move and its adjoint have exact values", "", float, double, std::int32_t,
                   std::int64_t) {
  const auto topology = Partition(world()).cartesian({world().size()});
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{2}, Shape{5}, Shape{7}, Shape{16}, Shape{0}, Shape{5, 2},
                             Shape{1, 7}, Shape{3, 0}, Shape{2, 5, 3}, Shape{7, 1, 5}}) {
    check_all_pairs<TestType>(topology, shape);
  }
}

// Of few elements: sums of terms that bfloat16 has exactly.
TEMPLATE_TEST_CASE("half types: every move and its adjoint have exact values", "", bfloat16, half) {
  const auto one = Partition(world()).cartesian({world().size()});
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{7}, Shape{0}, Shape{3, 2}, Shape{1, 7}, Shape{2, 2, 2}}) {
    check_all_pairs<TestType>(one, shape);
  }
  on_every_grid(2, [](const CartesianTopology& topology) {
    for (const Shape& shape : {Shape{7}, Shape{3, 2}}) check_all_pairs<TestType>(topology, shape);
  });
}

TEST_CASE("two axes: every move and its adjoint have exact values") {
  on_every_grid(2, [](const CartesianTopology& topology) {
    for (const Shape& shape : {Shape{}, Shape{7}, Shape{5, 3}, Shape{5, 3, 2}}) {
      check_all_pairs<double>(topology, shape);
    }
  });
}

TEST_CASE("three axes: every change of one axis has exact values, forward and adjoint") {
  const Shape shape{3, 5, 2};
  on_every_grid(3, [&](const CartesianTopology& topology) {
    const auto all = laid_all<double>(all_distributions(topology, shape));
    Sums sums;
    for (const auto& from : all) {
      for (const auto& to : all) {
        int changes = 0;
        for (int axis = 0; axis < 3; ++axis) changes += from.d.placement(axis) != to.d.placement(axis) ? 1 : 0;
        if (changes == 1) check_move(from, to, sums);
      }
    }
    sums.verify();
  });
}

TEST_CASE("three axes: fixed random pairs, each in a random nesting, have exact values, forward and adjoint") {
  const RandomStream stream(1, "pairs");
  Index drawn = 0;
  const auto draw = [&](std::size_t bound) {
    return static_cast<std::size_t>(stream.below(drawn++, static_cast<Index>(bound)));
  };
  const std::vector<std::vector<int>> nestings{{0, 1, 2}, {0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                               {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  const std::vector<Shape> shapes{{7}, {5, 4}, {3, 5, 2}};
  on_every_grid(3, [&](const CartesianTopology& topology) {
    Sums sums;
    for (int trial = 0; trial < 300; ++trial) {
      const auto& shape = shapes[draw(shapes.size())];
      const auto choices = all_placements(3, shape.dimensions());
      const auto side = [&] {
        return Laid<double>(
            Distribution(topology, shape, choices[draw(choices.size())], {.nesting = nestings[draw(nestings.size())]}));
      };
      const auto from = side();
      const auto to = side();
      check_move(from, to, sums);
    }
    sums.verify();
  });
}

TEST_CASE("a dimension that two axes shard, in both nestings, to and from every placement") {
  on_every_grid(2, [](const CartesianTopology& topology) {
    for (const Shape& shape : {Shape{7}, Shape{16}, Shape{5, 9}}) {
      std::vector<Distribution> distributions;
      for (const auto& d : all_distributions(topology, shape)) {
        distributions.push_back(d);
        distributions.push_back(d.with(d.placements(), {.nesting = {1, 0}}));
      }
      const auto twice = [](const Distribution& d) {
        return d.placement(0).is_shard() && d.placement(0) == d.placement(1);
      };
      const auto all = laid_all<double>(distributions);
      Sums sums;
      for (const auto& from : all) {
        for (const auto& to : all) {
          if (twice(from.d) || twice(to.d)) check_move(from, to, sums);
        }
      }
      sums.verify();
    }
  });
}

/// Unequal blocks of `extent`, the last one largest, some of them empty.
std::vector<Index> lopsided(Index extent, int parts) {
  std::vector<Index> extents(static_cast<std::size_t>(parts));
  for (std::size_t part = 1; part < extents.size() && extent > 1; part += 2) {
    extents[part] = 1;
    --extent;
  }
  extents.back() += extent;
  return extents;
}

TEST_CASE("blocks of given extents, to and from every placement") {
  on_every_grid(2, [](const CartesianTopology& topology) {
    const Shape shape{9, 5};
    std::vector<Distribution> given;
    for (const int axis : {0, 1}) {
      for (const int dim : {0, 1}) {
        for (const Placement& other :
             {Placement{Replicate{}}, Placement{Partial{}}, Placement{Root{}}, Placement{Shard{1 - dim}}}) {
          Placements placements{other, other};
          placements[static_cast<std::size_t>(axis)] = Shard{dim};
          const auto extents = lopsided(shape[dim], topology.grid().extent(axis));
          given.emplace_back(topology, shape, placements, DistributionOptions{.block_extents = {{axis, extents}}});
        }
      }
    }
    const auto plain = laid_all<double>(all_distributions(topology, shape));
    const auto blocks = laid_all<double>(given);
    Sums sums;
    for (const auto& from : blocks) {
      for (const auto& to : plain) {
        check_move(from, to, sums);
        check_move(to, from, sums);
      }
      for (const auto& to : blocks) check_move(from, to, sums);
    }
    sums.verify();
  });
}

TEST_CASE("exchanges in chunks have the same exact values") {
  struct Chunks {
    explicit Chunks(Index bytes) { set_chunk_bytes(bytes); }
    ~Chunks() { set_chunk_bytes(before); }
    Index before = chunk_bytes();
  } const chunks(1024);
  const int n = world().size();
  check_all_pairs<double>(Partition(world()).cartesian({n}), {37, 3, 29});
  check_all_pairs<float>(Partition(world()).cartesian({n}), {1500, 2});
  check_all_pairs<std::int32_t>(Partition(world()).cartesian({n}), {2, 1501});
  const auto grid = Partition(world()).cartesian({n % 2 == 0 ? 2 : 1, n % 2 == 0 ? n / 2 : n});
  check_all_pairs<double>(grid, {61, 40});
}

TEST_CASE("the adjoint defect of every move on one and two axes is rounding") {
  for (const int axes : {1, 2}) {
    on_every_grid(axes, [&](const CartesianTopology& topology) {
      const auto all = all_distributions(topology, axes == 1 ? Shape{3, 5, 2} : Shape{5, 3});
      for (const auto& from : all) {
        for (const auto& to : all) {
          INFO(from.to_string() << " -> " << to.to_string());
          CHECK(adjoint_defect(Redistribution(from, to)) < 1e-14);
        }
      }
    });
  }
}

}  // namespace
}  // namespace tartan
