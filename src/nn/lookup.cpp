#include "nn/lookup.hpp"

#include <exception>
#include <unordered_map>

#include <tartan/comm/agreement.hpp>
#include <tartan/distributed/redistribution.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan::lookup {
namespace {

template <class I>
void require_in_range(const DistributedTensor<I>& ids, Index bound) {
  const auto range = ids.local_range();
  if (!range || (range->first >= 0 && range->second < bound)) return;
  const auto local = ids.local().span();
  Index flat = 0;
  while (local[static_cast<std::size_t>(flat)] >= 0 && local[static_cast<std::size_t>(flat)] < bound) ++flat;
  auto position = ids.local().shape().index(flat);
  const auto box = ids.box();
  for (int dim = 0; dim < box.dimensions(); ++dim) position[static_cast<std::size_t>(dim)] += box[dim].begin;
  fail("id {} at position ({}) of the ids on rank {} is out of range: the table has {} rows, so ids are 0 to {}",
       local[static_cast<std::size_t>(flat)], fmt::join(position, ", "), ids.topology().root().rank(), bound,
       bound - 1);
}

template <class I>
kernels::RowPlan plan(const DistributedTensor<I>& ids, const Block& block, Index padding) {
  return kernels::plan_rows(cpu, ids.local().data(), ids.local().elements(), block.first_row, block.rows, padding);
}

}  // namespace

void require_fit(const Distribution& ids, const Distribution& weight) {
  require(weight.shape().dimensions() == 2, "an embedding takes a weight of two dimensions, not {}", weight);
  require(ids.topology() == weight.topology(), "an embedding takes ids and weight on one topology, not {} and {}", ids,
          weight);
  for (int axis = 0; axis < weight.grid().axes(); ++axis) {
    const auto w = weight.placement(axis);
    const auto i = ids.placement(axis);
    const bool fits = (w.is_replicate() && (i.is_shard() || i.is_replicate())) || (w.is_shard() && i.is_replicate()) ||
                      (w.is_partial() && i.is_replicate()) || (w.is_root() && i.is_root());
    require(
        fits,
        "an embedding does not take ids placed as {} with a weight placed as {}: along axis {}, {} and {} do not meet",
        ids, weight, axis, i, w);
  }
}

template <class I>
void check_ids(const DistributedTensor<I>& ids, Index bound) {
  if (ids.is_checked(bound)) return;
  std::exception_ptr error;
  try {
    require_in_range(ids, bound);
  } catch (...) {
    error = std::current_exception();
  }
  const auto& d = ids.distribution();
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    const auto placement = d.placement(axis);
    if (placement.is_replicate() || d.grid().extent(axis) == 1 || !ids.topology().active()) continue;
    try {
      agree(ids.topology().axis(axis), error);
    } catch (const MpiError&) {
      throw;
    } catch (...) {
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
  ids.set_checked(bound);
}

Index padding_row(const std::optional<Index>& padding_idx, Index rows) {
  if (!padding_idx) return -1;
  require(-rows <= *padding_idx && *padding_idx < rows, "padding_idx {} is out of range: the table has {} rows",
          *padding_idx, rows);
  return *padding_idx < 0 ? *padding_idx + rows : *padding_idx;
}

template <class I>
DistributedTensor<I> gathered(const DistributedTensor<I>& ids) {
  auto placements = ids.distribution().placements();
  for (auto& placement : placements) {
    if (placement.is_shard()) placement = Replicate{};
  }
  return redistribute(ids, ids.distribution().with(std::move(placements)));
}

template <class T, class I>
void divide_by_frequencies(const DistributedTensor<I>& ids, DistributedTensor<T>& upstream) {
  std::unordered_map<I, T> counts;
  const auto batch = gathered(ids);
  for (const I id : batch.local().span()) counts[id] += 1;
  DistributedTensor<T> divided(upstream.distribution());
  divided.modify([&](Tensor<T>& out) {
    const Index columns = ids.local().elements() == 0 ? 0 : out.elements() / ids.local().elements();
    for (Index i = 0; i < out.elements(); ++i) {
      out[i] = upstream.local()[i] / counts.at(ids.local()[i / columns]);
    }
  });
  upstream = std::move(divided);
}

template <class T, class I>
RowSparse<T> sparse_gradient(const DistributedTensor<I>& ids, const DistributedTensor<T>& upstream,
                             const Distribution& distribution, Index padding) {
  const Block block(distribution);
  const auto hits = plan(ids, block, padding);
  const auto distinct = static_cast<Index>(hits.rows.size());
  RowSparse<T> gradient{
      .distribution = distribution, .rows = hits.rows, .values = Tensor<T>(Shape{distinct, block.columns})};
  for (Index& row : gradient.rows) row += block.first_row;
  kernels::fold_rows(cpu, hits, matrix<const T>(upstream.local(), ids.local().elements(), block.columns),
                     matrix<T>(gradient.values, distinct, block.columns));
  return gradient;
}

template <class T, class I>
DistributedTensor<T> dense_gradient(const DistributedTensor<I>& ids, const DistributedTensor<T>& upstream,
                                    const Distribution& distribution, Index padding) {
  const Block block(distribution);
  auto gradient = DistributedTensor<T>::zeros(distribution);
  gradient.modify([&](Tensor<T>& out) {
    kernels::accumulate_rows(cpu, plan(ids, block, padding),
                             matrix<const T>(upstream.local(), ids.local().elements(), block.columns),
                             matrix<T>(out, block.rows, block.columns));
  });
  return gradient;
}

#define INSTANTIATE_IDS(I)                                     \
  template void check_ids(const DistributedTensor<I>&, Index); \
  template DistributedTensor<I> gathered(const DistributedTensor<I>&);
TARTAN_FOR_EACH_ID_TYPE(INSTANTIATE_IDS)
#undef INSTANTIATE_IDS

#define INSTANTIATE(T, I)                                                                                              \
  template void divide_by_frequencies(const DistributedTensor<I>&, DistributedTensor<T>&);                             \
  template RowSparse<T> sparse_gradient(const DistributedTensor<I>&, const DistributedTensor<T>&, const Distribution&, \
                                        Index);                                                                        \
  template DistributedTensor<T> dense_gradient(const DistributedTensor<I>&, const DistributedTensor<T>&,               \
                                               const Distribution&, Index);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::lookup
