#include "autograd/classes.hpp"

#include <algorithm>

#include <tartan/distributed/redistribution.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "distributed/combine_blocks.hpp"
#include "tensor/rows_of.hpp"

namespace tartan::classes {
namespace {

void combine_rows(const double* from, double* into, Index rows, int fields) {
  for (Index r = 0; r < rows; ++r) kernels::combine_statistics(from + r * fields, into + r * fields, fields);
}

/// What each rank has of its shard as one tensor (shards, ...).
Distribution side_by_side(const Distribution& statistics, const Layout& layout) {
  auto placements = statistics.placements();
  auto options = statistics.options();
  std::vector<Index> extents{1};
  extents.insert(extents.end(), statistics.shape().begin(), statistics.shape().end());
  for (auto& placement : placements) {
    if (placement.is_shard()) placement = Shard{placement.dim() + 1};
  }
  for (const int axis : layout.axes) {
    extents[0] *= statistics.grid().extent(axis);
    placements[static_cast<std::size_t>(axis)] = Shard{0};
  }
  return {statistics.topology(), Shape(std::move(extents)), std::move(placements), std::move(options)};
}

}  // namespace

Layout layout_of(const char* function, const Distribution& logits) {
  const int last = logits.shape().dimensions() - 1;
  require(last >= 0, "{} takes logits (..., classes), not the shape {}", function, logits.shape());
  require(!logits.any(Placement::Kind::partial) && !logits.any(Placement::Kind::root),
          "{} takes logits that are Shard or Replicate along each axis, not {}; redistribute(logits, ...) them first",
          function, logits);
  auto placements = logits.placements();
  auto options = logits.options();
  for (std::size_t axis = 0; axis < placements.size(); ++axis) {
    if (!placements[axis].is_shard(last)) continue;
    placements[axis] = Replicate{};
    options.block_extents.erase(static_cast<int>(axis));
  }
  Layout result{{logits.topology(), logits.shape().without(last), std::move(placements), std::move(options)},
                logits.axes_of(last),
                {}};
  if (const int position = logits.topology().rank(); position >= 0) result.mine = logits.box(position)[last];
  return result;
}

Distribution with_columns(const Distribution& rows, Index columns) {
  return {rows.topology(), rows.shape().appended(columns), rows.placements(), rows.options()};
}

template <class T>
DistributedTensor<double> shard_statistics(const DistributedTensor<T>& logits, const Layout& layout, const T* weights,
                                           int fields) {
  return rules::computed<double>(with_columns(layout.rows, fields), [&](auto where, Tensor<double>& out) {
    if (out.elements() == 0) return;
    kernels::class_statistics(where, rows_of(logits.local()), weights, fields, out.data());
  });
}

DistributedTensor<double> gathered(const DistributedTensor<double>& shards, const Layout& layout) {
  const auto mine = shards.viewed_as(side_by_side(shards.distribution(), layout));
  auto together = mine.distribution().placements();
  for (const int axis : layout.axes) together[static_cast<std::size_t>(axis)] = Replicate{};
  return redistribute(mine, mine.distribution().with(std::move(together)));
}

DistributedTensor<double> combined(DistributedTensor<double> statistics, const Layout& layout, bool ordered) {
  if (layout.axes.empty()) return statistics;
  if (!ordered && statistics.topology().device().is_cpu()) {
    const auto fields = static_cast<int>(statistics.shape()[statistics.shape().dimensions() - 1]);
    statistics.modify([&](Tensor<double>& local) {
      combine_along<combine_rows>(statistics.topology(), layout.axes, local.span(), fields);
    });
    return statistics;
  }
  const auto all = gathered(statistics, layout);
  return rules::computed<double>(statistics.distribution(), [&](auto where, Tensor<double>& out) {
    if (out.elements() == 0) return;
    const auto rows = rows_of(std::as_const(out));
    kernels::combine_shards(where, all.local().data(), all.local().elements() / out.elements(), rows.rows,
                            static_cast<int>(rows.columns), out.data());
  });
}

#define INSTANTIATE(T) \
  template DistributedTensor<double> shard_statistics(const DistributedTensor<T>&, const Layout&, const T*, int);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::classes
