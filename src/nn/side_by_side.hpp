#pragma once

#include <vector>

#include <tartan/nn/multi_embedding.hpp>

#include "nn/lookup.hpp"

/// Many lookups at once, whose rows stand side by side.
namespace tartan::lookup {

/// Does not communicate. The columns of ids (..., F), each (...). Throws Error, the same on every rank, where there are
/// none or an axis shards the last dimension.
template <class I>
std::vector<DistributedTensor<I>> columns_of(const DistributedTensor<I>& ids);

/// Where (..., D_j) tensors stand as one of (..., ΣD). Throws Error, the same on every rank, where they are placed
/// differently or a rank's columns of them do not follow those of the rank before it.
Distribution side_by_side(const std::vector<Distribution>& parts);

/// Collective to agree on ids that are not known to be in range, and with max_norm: checks that `columns`, which are
/// columns_of(ids), are numbers of rows of `weights`, as these are stored, and scales their looked-up rows down. Throws
/// Error on every rank before anything changes.
template <class T, class I>
void prepare(const DistributedTensor<I>& ids, const std::vector<DistributedTensor<I>>& columns,
             const std::vector<Variable<T>>& weights, const functional::MultiEmbeddingOptions& options);

/// What `options` say of a table, but for max_norm.
functional::EmbeddingOptions of_table(const functional::MultiEmbeddingOptions& options, std::size_t table);

/// Collective where rows move. The rows of lookups[j], of columns_of(ids)[j], side by side.
template <class T, class I>
Variable<T> looked_up(const DistributedTensor<I>& ids, const std::vector<Lookup<T, I>>& lookups);

}  // namespace tartan::lookup
