#pragma once

#include <optional>

#include <tartan/autograd/variable.hpp>
#include <tartan/nn/bags.hpp>

namespace tartan::functional {

struct EmbeddingOptions {
  /// Global row number, -V <= p < V, negative from the end: its gradient is exactly 0.
  std::optional<Index> padding_idx = {};
  /// Before the lookup, rows of the weight that are looked up and whose norm exceeds this are scaled down, in place.
  std::optional<double> max_norm = {};
  /// The p of max_norm's norm: positive, infinity for the maximum.
  double norm_type = 2;
  /// Each contribution to a row's gradient is divided by how often its id occurs in the global batch.
  bool scale_grad_by_freq = false;
  /// The gradient is row-sparse: the distinct ids of the batch and their rows.
  bool sparse = false;
  /// The bits of the gradient, and of max_norm's norms, do not depend on the grid: contributions travel unsummed to the
  /// owners of their rows and are added in the order of the global ids; norms are added by leaves of 32 columns, which
  /// no block of columns may cut (see leaf_blocks).
  bool reproducible = false;
  /// On CUDA devices the contributions to a dense gradient of float or double are added by atomic additions, without
  /// sorting the ids: in no order, other bits in each run. Elsewhere, with sparse, and where ranks compute the same
  /// gradient (weight and ids Replicate along an axis of several ranks), sums stay ordered. Not with reproducible.
  bool atomics = false;
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
/// along the axes that shard it. Otherwise the forward sends nothing, but for max_norm (see renormalize_rows); with
/// scale_grad_by_freq the backward gathers the ids along the axes that shard them.
template <class T, class I>
Variable<T> embedding(const DistributedTensor<I>& ids, const Variable<T>& weight, const EmbeddingOptions& options = {});

/// Collective. The same lookup with rows on the move instead of tables: bytes in proportion to the distinct ids of each
/// rank. The weight is as it is stored. Along each axis:
///
///     weight      ids         result         rows                                           gradient's terms
///     Root        Shard(d)    Shard(d)       asked of coordinate 0 by number, and sent      summed there
///     Shard(0)    Shard(d)    Shard(d)       asked of their owners by number, and sent      summed at the owners
///     Replicate   Shard(d)    Shard(d)       at hand                                        summed on every rank
///     Shard(0)    Replicate   Replicate      distinct owned rows are all-gathered, unsummed at hand
///     Shard(1)    Replicate   Shard(last)    at hand                                        at hand
///     Replicate   Replicate   Replicate      at hand                                        at hand
///
/// The first two rows of this table may apply to one axis of more than one rank, which nests inside the others that
/// shard rows. The gradient is in the weight's own placement; terms are added in the order of ranks. Ids and options as
/// for embedding().
template <class T, class I>
Variable<T> embedding_by_rows(const DistributedTensor<I>& ids, const Variable<T>& weight,
                              const EmbeddingOptions& options = {});

/// What becomes of the rows of a bag.
enum class BagMode { sum, mean, max };

/// One row for each bag: out[b, :] is the sum, the mean or, column by column, the largest of weight[id, :] over the ids
/// of bag b. Ids that are padding are left out, also of the mean's divisor; a bag without others is a row of zeros.
/// With per_sample_weights (placed as bags.ids(), or moved there), in mode sum only, each row counts as often as its
/// id's weight says, and the weights have a gradient too: <upstream row, looked-up row>, 0 for padding. The largest
/// passes its gradient to the first id that attains it; a NaN is the largest only where it comes first, as in PyTorch,
/// whose embedding_bag this is.
///
/// Placements, ids out of range, options and what is sent are those of embedding() for ids that lie as the bags do. The
/// gradient of per_sample_weights is Partial along axes that shard the weight, unless reproducible, when the sums of
/// its leaves are all-gathered along the one that shards columns (see leaf_blocks). Throws Error, the same on every
/// rank, before anything changes, for per_sample_weights of another shape or in another mode, for scale_grad_by_freq in
/// mode max, as PyTorch does, and in mode max where the result would be Partial: the largest of rows is no sum of
/// terms.
///
/// Where an axis shards rows, the sums of bags are terms of a sum that rounds differently on every grid, also with
/// reproducible: embedding_bag_by_rows() rounds as one rank does.
template <class T, class I>
Variable<T> embedding_bag(const Bags<I>& bags, const Variable<T>& weight, BagMode mode = BagMode::mean,
                          const EmbeddingOptions& options = {}, const Variable<T>& per_sample_weights = {});

/// Collective. The same with rows on the move, placed as embedding_by_rows() has it: every rank has all rows of its
/// bags, and reduces them as one rank would.
template <class T, class I>
Variable<T> embedding_bag_by_rows(const Bags<I>& bags, const Variable<T>& weight, BagMode mode = BagMode::mean,
                                  const EmbeddingOptions& options = {}, const Variable<T>& per_sample_weights = {});

/// Collective. Every row of `weight` (V, D) that occurs in `ids`, once per distinct id of the global batch: with
/// n = (Σ |w|^p)^(1/p) over the whole row, the largest |w| for infinite p, a row with n > max_norm becomes
/// row · (max_norm / (n + 1e-7)); other rows stay. In place, and not differentiated. The ids are gathered along the
/// axes that shard them, and the norms all-reduced along the axes that shard the columns; where `reproducible`, the
/// sums of their leaves are all-gathered instead. Throws Error on every rank, before anything changes, where an id is
/// out of range, max_norm or p is not positive, or the weight is Partial.
template <class T, class I>
void renormalize_rows(const DistributedTensor<I>& ids, Variable<T> weight, double max_norm, double norm_type = 2,
                      bool reproducible = false);

}  // namespace tartan::functional
