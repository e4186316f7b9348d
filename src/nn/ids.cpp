#include "nn/ids.hpp"

#include <algorithm>
#include <exception>
#include <unordered_map>

#include <tartan/comm/agreement.hpp>
#include <tartan/distributed/redistribution.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "nn/local_ids.hpp"

namespace tartan::lookup {
namespace {

template <class I>
void require_in_range(const DistributedTensor<I>& ids, std::span<const Index> bounds, const IdNames& names) {
  if (ids.is_on_host()) {
    const auto range = ids.local_range();
    if (!range || (range->first >= 0 && range->second < std::ranges::min(bounds))) return;
  }
  const Index flat = first_bad_id(ids.is_on_host() ? ids.local_on_host() : ids.local(), bounds, names.allowed);
  if (flat < 0) return;
  const auto table = static_cast<std::size_t>(flat) % bounds.size();  // no rank has a part of the last dimension
  auto position = ids.local().shape().index(flat);
  const auto box = ids.box();
  for (int dim = 0; dim < box.dimensions(); ++dim) position[static_cast<std::size_t>(dim)] += box[dim].begin;
  fail("{} {} at position ({}) of the {}s on rank {} is out of range: {} has {} {}, so {}s are 0 to {}{}", names.id,
       ids.local_on_host()[flat], fmt::join(position, ", "), names.id, ids.topology().root().root_rank(),
       bounds.size() == 1 ? names.table : fmt::format("table {}", table), bounds[table], names.rows, names.id,
       bounds[table] - 1, names.allowed ? fmt::format(", or {} where there is none", *names.allowed) : "");
}

}  // namespace

template <class I>
void check_ids(const DistributedTensor<I>& ids, std::span<const Index> bounds, const IdNames& names) {
  // What passed is remembered with the id that was allowed, which no list of bounds looks like.
  std::vector<Index> passed(bounds.begin(), bounds.end());
  if (names.allowed) passed.insert(passed.end(), {*names.allowed, -1});
  if (ids.is_checked(passed)) return;
  std::exception_ptr error;
  try {
    require_in_range(ids, bounds, names);
  } catch (...) {
    error = std::current_exception();
  }
  const auto& d = ids.distribution();
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    const auto placement = d.placement(axis);
    // Copies are judged alike, unless they differ, which Checks::collective is there to find.
    const bool alike = placement.is_replicate() && checks() != Checks::collective;
    if (alike || d.grid().extent(axis) == 1 || !ids.topology().active()) continue;
    try {
      agree(ids.topology().axis(axis), error);
    } catch (const MpiError&) {
      throw;
    } catch (...) {
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
  ids.set_checked(passed);
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

template <class I>
std::vector<Index> frequencies(const DistributedTensor<I>& ids) {
  std::unordered_map<I, Index> counts;
  const auto batch = gathered(ids).local_on_host();
  for (const I id : batch.span()) ++counts[id];
  const auto mine = ids.local_on_host();
  std::vector<Index> result;
  for (const I id : mine.span()) result.push_back(counts.at(id));
  return result;
}

template <class I>
std::vector<Index> positions(const DistributedTensor<I>& ids) {
  const auto& shape = ids.local().shape();
  const auto box = ids.box();
  const Index run = box.dimensions() == 0 ? 1 : shape[box.dimensions() - 1];  // ids that follow each other everywhere
  std::vector<Index> result;
  for (Index flat = 0; flat < shape.elements(); flat += run) {
    auto index = box.dimensions() == 0 ? std::vector<Index>{} : shape.index(flat);
    for (int dim = 0; dim < box.dimensions(); ++dim) index[static_cast<std::size_t>(dim)] += box[dim].begin;
    const Index first = ids.shape().flat(index);
    for (Index i = 0; i < run; ++i) result.push_back(first + i);
  }
  return result;
}

#define INSTANTIATE(I)                                                                          \
  template void check_ids(const DistributedTensor<I>&, std::span<const Index>, const IdNames&); \
  template DistributedTensor<I> gathered(const DistributedTensor<I>&);                          \
  template std::vector<Index> frequencies(const DistributedTensor<I>&);                         \
  template std::vector<Index> positions(const DistributedTensor<I>&);
TARTAN_FOR_EACH_ID_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::lookup
