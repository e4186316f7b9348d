#include <tartan/distributed/leaves.hpp>

#include <algorithm>

#include <tartan/base/decomposition.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "distributed/carrier.hpp"
#include "kernels/boxes.hpp"
#include "kernels/dots.hpp"
#include "kernels/on.hpp"

namespace tartan {

std::vector<Index> leaf_blocks(Index columns, Index parts) {
  const auto split = Decomposition::balanced(leaves_of(columns), parts);
  std::vector<Index> extents;
  for (Index part = 0; part < parts; ++part) {
    const auto leaves = split.block(part);
    extents.push_back(std::min(columns, leaves.end * leaf_columns) - std::min(columns, leaves.begin * leaf_columns));
  }
  return extents;
}

void require_leaves(const Distribution& distribution, int dim) {
  const auto axes = distribution.axes_of(dim);
  require(axes.size() <= 1, "sums by leaves take columns that one axis splits, not {}", distribution);
  if (axes.empty()) return;
  for (int coordinate = 0; coordinate < distribution.grid().extent(axes[0]); ++coordinate) {
    const auto block = distribution.block(distribution.grid().moved(0, axes[0], coordinate))[dim];
    require(block.empty() || block.begin % leaf_columns == 0,
            "sums by leaves of {} columns take blocks that cut none, not {}: its columns {} to {} are one block "
            "(leaf_blocks gives blocks that do)",
            leaf_columns, distribution, block.begin, block.end - 1);
  }
}

namespace {

/// The leaves of all ranks along the axis that splits `dim`, (n, all leaves), from those of this rank.
template <class T>
Tensor<T> gather_leaves(const Distribution& distribution, int dim, int axis, const Tensor<T>& leaves, Index n) {
  std::vector<Index> widths;
  std::vector<Index> counts;
  const auto& topology = distribution.topology();
  for (int coordinate = 0; coordinate < distribution.grid().extent(axis); ++coordinate) {
    const int position = distribution.grid().moved(topology.rank(), axis, coordinate);
    widths.push_back(leaves_of(distribution.block(position)[dim].extent()));
    counts.push_back(n * widths.back());
  }
  const Index total = leaves_of(distribution.shape()[dim]);
  Tensor<T> pieces(Shape{n, total}, leaves.device());
  Carrier{topology.axis(axis), leaves.device()}.all_gather<T>(
      {leaves.data(), static_cast<std::size_t>(leaves.elements())},
      {pieces.data(), static_cast<std::size_t>(pieces.elements())}, counts);
  Tensor<T> beside(Shape{n, total}, leaves.device());
  kernels::on(leaves.device(),
              [&](auto where) { kernels::join_columns(where, pieces.data(), n, widths, beside.data()); });
  return beside;
}

}  // namespace

template <class T>
void sum_leaves(const Distribution& distribution, int dim, const Tensor<Accumulator<T>>& leaves, Tensor<T>& out) {
  require_leaves(distribution, dim);
  if (!distribution.topology().active()) return;
  const Index n = out.elements();
  const auto axes = distribution.axes_of(dim);
  const auto all = axes.empty() ? leaves : gather_leaves(distribution, dim, axes[0], leaves, n);
  kernels::on(leaves.device(), [&](auto where) {
    kernels::fold_leaves(where, all.data(), n, leaves_of(distribution.shape()[dim]), out.data());
  });
}

#define INSTANTIATE(T) template void sum_leaves(const Distribution&, int, const Tensor<Accumulator<T>>&, Tensor<T>&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
