#pragma once

#include <optional>

#include <tartan/autograd/variable.hpp>

namespace tartan::functional {

struct EmbeddingOptions {
  /// Global row number, -V <= p < V, negative from the end: its gradient is exactly 0.
  std::optional<Index> padding_idx = {};
  /// The gradient is row-sparse: the distinct ids of the batch and their rows.
  bool sparse = false;
};

/// out[i..., :] = weight[ids[i...], :] for ids (...) and weight (V, D); the result has the shape of the ids with D
/// appended. Along each axis:
///
///     weight      ids         result         gradient of weight
///     Replicate   Shard(d)    Shard(d)       Partial
///     Replicate   Replicate   Replicate      Replicate
///     Shard(0)    Replicate   Partial        Shard(0)
///     Shard(1)    Replicate   Shard(last)    Shard(1)
///     Partial     Replicate   Partial        Replicate
///     Root        Root        Root           Root
///
/// Other pairs are refused on every rank. Each rank looks up the ids whose rows it owns and leaves rows of -0.0 for the
/// others. The gradient of a row is the fold of its hits in the order of the rank's ids (docs/design.md, Numbers).
///
/// Ids outside [0, V) throw Error on every rank, naming id, position and rank; that is agreed once per ids tensor,
/// along the axes that shard it. Otherwise the forward sends nothing.
template <class T, class I>
Variable<T> embedding(const DistributedTensor<I>& ids, const Variable<T>& weight, const EmbeddingOptions& options = {});

}  // namespace tartan::functional
