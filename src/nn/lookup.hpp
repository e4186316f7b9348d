#pragma once

#include <optional>
#include <utility>

#include <tartan/autograd/variable.hpp>
#include <tartan/nn/functional.hpp>

#include "kernels/rows.hpp"

/// What lookups in tables share, whatever moves for them.
namespace tartan::lookup {

inline constexpr kernels::Cpu cpu;

template <class T, class U>
kernels::Matrix<T> matrix(U& local, Index rows, Index columns) {
  return {local.data(), rows, columns, columns};
}

/// The rows and columns of the block that this rank has of a (V, D) tensor; none where it has nothing.
struct Block {
  Index first_row = 0;
  Index rows = 0;
  Index columns = 0;

  explicit Block(const Distribution& distribution) {
    const auto box = distribution.box(distribution.topology().rank());
    first_row = box[0].begin;
    rows = box[0].extent();
    columns = box[1].extent();
  }
};

/// Throws Error unless functional::embedding takes ids and a weight that lie so.
void require_fit(const Distribution& ids, const Distribution& weight);

/// Throws Error on every rank where an id is outside [0, bound), naming id, position and rank: agreed once per ids
/// tensor, along the axes that shard it; replicated ids are judged alike by every rank that has them.
template <class I>
void check_ids(const DistributedTensor<I>& ids, Index bound);

/// The row that padding_idx means, or -1; throws Error where the table does not have it.
Index padding_row(const std::optional<Index>& padding_idx, Index rows);

/// Collective along the axes that shard the ids: the whole batch.
template <class I>
DistributedTensor<I> gathered(const DistributedTensor<I>& ids);

/// Collective along the axes that shard the ids: divides each row of `upstream` by how often its id occurs in the whole
/// batch.
template <class T, class I>
void divide_by_frequencies(const DistributedTensor<I>& ids, DistributedTensor<T>& upstream);

/// The rows of `upstream` summed into the rows of the weight that the ids hit: the part of the gradient, placed as
/// `distribution`, that this rank's ids give.
template <class T, class I>
RowSparse<T> sparse_gradient(const DistributedTensor<I>& ids, const DistributedTensor<T>& upstream,
                             const Distribution& distribution, Index padding);
/// The same, dense.
template <class T, class I>
DistributedTensor<T> dense_gradient(const DistributedTensor<I>& ids, const DistributedTensor<T>& upstream,
                                    const Distribution& distribution, Index padding);

}  // namespace tartan::lookup
