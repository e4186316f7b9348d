#pragma once

#include <vector>

#include <tartan/nn/functional.hpp>

/// Lookups in plain tensors, for codes without a grid and for those with a tape of their own: the kernels of
/// DistributedEmbedding, to the last bit, on the calling rank alone. Nothing here communicates or needs MPI.
///
/// Ids are int32 or int64, of any shape, 0-d and empty too; tables are of real numbers. An id outside [0, V) throws
/// Error, naming the id, its position and the bound, before anything changes. An EmbeddingOptions may be given to a
/// lookup and to its adjoint alike: each takes from it what concerns it.
namespace tartan::functional {

/// out[i..., :] = weight[ids[i...], :] for ids (...) and weight (V, D); the result has the shape of the ids with D
/// appended. padding_idx is checked; scale_grad_by_freq and sparse say nothing about a lookup. Throws Error where
/// max_norm is given: a weight that is const cannot shrink.
template <class T, class I>
Tensor<T> embedding(const Tensor<I>& ids, const Tensor<T>& weight, const EmbeddingOptions& options = {});
/// The same, and with max_norm it calls renormalize_rows() first.
template <class T, class I>
Tensor<T> embedding(const Tensor<I>& ids, Tensor<T>& weight, const EmbeddingOptions& options = {});

/// Every row of `weight` (V, D) that occurs in `ids`, once per distinct id, in place: with n = (Σ |w|^p)^(1/p), the
/// largest |w| for infinite p, a row with n > max_norm becomes row · (max_norm / (n + 1e-7)); other rows stay. Throws
/// Error where max_norm or p is not positive.
template <class T, class I>
void renormalize_rows(const Tensor<I>& ids, Tensor<T>& weight, double max_norm, double norm_type = 2);

/// The adjoint of a lookup in a table of num_embeddings rows, for ids (...) and the gradient of its result, `upstream`
/// (..., D): the gradient of the table, (num_embeddings, D). Row r is the fold (docs/design.md, Numbers) of the rows of
/// `upstream` whose id is r, in the order of the ids: 0 where there is none, and for padding_idx. With
/// scale_grad_by_freq each is divided by how often its id occurs in `ids`. max_norm is not differentiated. Throws Error
/// where `upstream` has another shape.
template <class T, class I>
Tensor<T> embedding_dense_backward(const Tensor<I>& ids, const Tensor<T>& upstream, Index num_embeddings,
                                   const EmbeddingOptions& options = {});

/// The rows of a table's gradient that are not zero by construction.
template <class T>
struct GradientRows {
  std::vector<Index> rows;  ///< ascending, distinct
  Tensor<T> values;         ///< (rows, D)
};

/// The rows of embedding_dense_backward() that some id hits, padding_idx not among them: memory and time in proportion
/// to the ids, not to the table.
template <class T, class I>
GradientRows<T> embedding_sparse_backward(const Tensor<I>& ids, const Tensor<T>& upstream, Index num_embeddings,
                                          const EmbeddingOptions& options = {});

}  // namespace tartan::functional
