#pragma once

#include <optional>
#include <span>
#include <vector>

#include <tartan/distributed/distributed_tensor.hpp>

/// Ids tensors: what every lookup asks of them.
namespace tartan::lookup {

/// How errors call what is looked up, and what in; and what may be asked for beside its rows.
struct IdNames {
  const char* id = "id";
  const char* table = "the table";
  const char* rows = "rows";
  std::optional<Index> allowed = {};  ///< an id that is no row, and means something else
};

/// Throws Error on every rank where an id is outside [0, bound) and not allowed, naming id, position and rank: agreed
/// once per ids tensor, along the axes that shard it; replicated ids are judged alike by every rank that has them.
/// `bounds`: one for all ids, or, where there are many tables, one for each index of the last dimension.
template <class I>
void check_ids(const DistributedTensor<I>& ids, std::span<const Index> bounds, const IdNames& names = {});
template <class I>
void check_ids(const DistributedTensor<I>& ids, Index bound, const IdNames& names = {}) {
  check_ids(ids, {&bound, 1}, names);
}

/// The row that padding_idx means, or -1; throws Error where the table does not have it.
Index padding_row(const std::optional<Index>& padding_idx, Index rows);

/// Collective along the axes that shard the ids: the whole batch.
template <class I>
DistributedTensor<I> gathered(const DistributedTensor<I>& ids);

/// Collective along the axes that shard the ids: how often each of this rank's ids occurs in the whole batch.
template <class I>
std::vector<Index> frequencies(const DistributedTensor<I>& ids);

/// Where each of this rank's ids stands in the whole batch, in row-major order.
template <class I>
std::vector<Index> positions(const DistributedTensor<I>& ids);

}  // namespace tartan::lookup
