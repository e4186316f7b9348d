#include <tartan/distributed/leaves.hpp>

#include <algorithm>
#include <numeric>

#include <tartan/base/decomposition.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/dots.hpp"

namespace tartan {
namespace {

Index leaves_of(Index columns) { return (columns + leaf_columns - 1) / leaf_columns; }

}  // namespace

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

template <class T>
std::vector<T> sum_leaves(const Distribution& distribution, int dim, std::span<const T> leaves, Index n) {
  require_leaves(distribution, dim);
  const auto& topology = distribution.topology();
  if (!topology.active()) return {};
  const Index total = leaves_of(distribution.shape()[dim]);
  std::vector<T> beside;  // (n, total)
  const auto axes = distribution.axes_of(dim);
  if (!axes.empty()) {
    std::vector<Index> widths;
    std::vector<Index> counts;
    for (int coordinate = 0; coordinate < distribution.grid().extent(axes[0]); ++coordinate) {
      const int position = distribution.grid().moved(topology.rank(), axes[0], coordinate);
      widths.push_back(leaves_of(distribution.block(position)[dim].extent()));
      counts.push_back(n * widths.back());
    }
    std::vector<T> pieces(static_cast<std::size_t>(n * total));
    topology.axis(axes[0]).all_gather(leaves, std::span<T>(pieces), counts);
    beside.resize(pieces.size());
    const T* piece = pieces.data();
    Index first = 0;
    for (const Index width : widths) {
      for (Index i = 0; i < n; ++i, piece += width) std::copy_n(piece, width, beside.data() + i * total + first);
      first += width;
    }
    leaves = beside;
  }
  std::vector<T> sums(static_cast<std::size_t>(n));
  kernels::fold_leaves(kernels::Cpu{}, leaves.data(), n, total, sums.data());
  return sums;
}

#define INSTANTIATE(T) template std::vector<T> sum_leaves(const Distribution&, int, std::span<const T>, Index);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
