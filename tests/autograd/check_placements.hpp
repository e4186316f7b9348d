#pragma once

#include "autograd/check_operation.hpp"
#include "support/error_text.hpp"

/// Operations in every placement on every grid.
namespace tartan::testing {

/// Every grid of one or two axes.
inline std::vector<CartesianTopology> topologies(const Partition& partition) {
  std::vector<CartesianTopology> result{partition.cartesian({partition.size()})};
  for (const auto& grid : factorisations(partition.size(), 2)) result.push_back(partition.cartesian(grid));
  return result;
}

/// One axis's placements of the operands that an operation takes; the others must be refused.
using Legal = std::function<bool(Placement a, Placement b)>;

inline bool one_partial_one_replicate(Placement a, Placement b) {
  return (a.is_partial() && b.is_replicate()) || (a.is_replicate() && b.is_partial());
}

/// Collective. All pairs of placements on all grids: right where legal, refused where not.
inline void check_pairs(const Operation& operation, const Partition& partition, const Legal& legal) {
  const Expected expected(operation);
  Batch batch;
  SameTexts texts;
  for (const auto& topology : topologies(partition)) {
    const int axes = topology.grid().axes();
    for (const auto& a : all_placements(axes, operation.shapes[0].dimensions())) {
      for (const auto& b : all_placements(axes, operation.shapes[1].dimensions())) {
        const Distribution first(topology, operation.shapes[0], a);
        const Distribution second(topology, operation.shapes[1], b);
        bool fits = true;
        for (std::size_t axis = 0; axis < a.size(); ++axis) fits = fits && legal(a[axis], b[axis]);
        if (fits) {
          check_operation(operation, {first, second}, expected, batch);
          continue;
        }
        const auto text = texts.of([&] {
          operation.apply({DistributedTensor<double>::zeros(first), DistributedTensor<double>::zeros(second)});
        });
        INFO(text);
        CHECK(contains(text, first.to_string()));
        CHECK(contains(text, second.to_string()));
      }
    }
  }
  texts.verify();
  batch.verify();
}

inline void check_single(const Operation& operation, const Partition& partition, bool takes_partial) {
  const Expected expected(operation);
  Batch batch;
  SameTexts texts;
  for (const auto& topology : topologies(partition)) {
    for (const auto& a : all_placements(topology.grid().axes(), operation.shapes[0].dimensions())) {
      const Distribution d(topology, operation.shapes[0], a);
      if (takes_partial || !d.any(Placement::Kind::partial)) {
        check_operation(operation, {d}, expected, batch);
        continue;
      }
      const auto text = texts.of([&] { operation.apply({DistributedTensor<double>::zeros(d)}); });
      CHECK(contains(text, d.to_string()));
    }
  }
  texts.verify();
  batch.verify();
}

/// Every choice of one of `cells`, which have a placement for each operand, for each of `axes` axes: the operands'
/// placements.
inline std::vector<std::vector<Placements>> combinations(int axes, const std::vector<Placements>& cells) {
  std::vector<std::vector<Placements>> result{std::vector<Placements>(cells[0].size())};
  for (int axis = 0; axis < axes; ++axis) {
    std::vector<std::vector<Placements>> longer;
    for (const auto& begun : result) {
      for (const auto& cell : cells) {
        longer.push_back(begun);
        for (std::size_t i = 0; i < cell.size(); ++i) longer.back()[i].push_back(cell[i]);
      }
    }
    result = std::move(longer);
  }
  return result;
}

/// Collective. The operation on operands placed as every combination of `cells` on all grids.
inline void check_cells(const Operation& operation, const Partition& partition, const std::vector<Placements>& cells) {
  const Expected expected(operation);
  Batch batch;
  for (const auto& topology : topologies(partition)) {
    for (const auto& placements : combinations(topology.grid().axes(), cells)) {
      std::vector<Distribution> placed;
      for (std::size_t i = 0; i < placements.size(); ++i) {
        placed.emplace_back(topology, operation.shapes[i], placements[i]);
      }
      check_operation(operation, placed, expected, batch);
    }
  }
  batch.verify();
}

/// All ranks, and all but the last, which runs the same program.
inline std::vector<Partition> partitions() {
  const Partition all(world());
  if (world().size() == 1) return {all};
  return {all, all.first(world().size() - 1)};
}

}  // namespace tartan::testing
