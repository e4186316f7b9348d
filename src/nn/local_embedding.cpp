#include <tartan/nn/local_embedding.hpp>

#include <algorithm>
#include <cmath>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "nn/local_ids.hpp"
#include "nn/lookup.hpp"

namespace tartan::functional {
namespace {

using namespace lookup;

template <class T>
kernels::Matrix<const T> table(const Tensor<T>& weight) {
  require(weight.shape().dimensions() == 2, "an embedding takes a weight of two dimensions, not one of the shape {}",
          weight.shape());
  return matrix<const T>(weight, weight.shape()[0], weight.shape()[1]);
}

template <class I>
kernels::RowPlan plan(const Tensor<I>& ids, Index rows, Index padding) {
  require_in_range(ids, rows);
  return kernels::plan_rows(cpu, ids.data(), ids.elements(), Index{0}, rows, padding);
}

/// Each row of `upstream` divided by how often its id is hit.
template <class T>
Tensor<T> divided(kernels::Matrix<const T> upstream, const kernels::RowPlan& hits) {
  Tensor<T> result(Shape{upstream.rows, upstream.columns});
  for (std::size_t u = 0; u < hits.rows.size(); ++u) {
    const auto count = static_cast<T>(hits.offsets[u + 1] - hits.offsets[u]);
    for (Index k = hits.offsets[u]; k < hits.offsets[u + 1]; ++k) {
      const Index position = hits.positions[static_cast<std::size_t>(k)];
      const T* const row = upstream.row(position);
      std::transform(row, row + upstream.columns, result.data() + position * upstream.columns,
                     [count](T g) { return g / count; });
    }
  }
  return result;
}

/// What both adjoints fold: which rows are hit, and by what.
template <class T>
struct Contributions {
  kernels::RowPlan hits;
  Tensor<T> values;
  Index count = 0;
  Index columns = 0;

  template <class I>
  Contributions(const Tensor<I>& ids, const Tensor<T>& upstream, Index rows, const EmbeddingOptions& options)
      : values(upstream), count{ids.elements()} {
    require(rows >= 0, "an embedding has {} rows", rows);
    const auto& shape = upstream.shape();
    require(shape.dimensions() == ids.shape().dimensions() + 1 &&
                shape == ids.shape().appended(shape[shape.dimensions() - 1]),
            "the gradient of a lookup of ids of the shape {} has that shape with the row's extent appended, not {}",
            ids.shape(), shape);
    columns = shape[shape.dimensions() - 1];
    hits = plan(ids, rows, padding_row(options.padding_idx, rows));
    if (options.scale_grad_by_freq) values = divided(all(), hits);
  }

  kernels::Matrix<const T> all() const { return matrix<const T>(values, count, columns); }
};

}  // namespace

template <class T, class I>
Tensor<T> embedding(const Tensor<I>& ids, const Tensor<T>& weight, const EmbeddingOptions& options) {
  const auto rows = table(weight);
  require(!options.max_norm, "a lookup with max_norm {} shrinks rows of its weight, which is const here",
          options.max_norm.value_or(0));
  (void)padding_row(options.padding_idx, rows.rows);
  require_in_range(ids, rows.rows);
  Tensor<T> out(ids.shape().appended(rows.columns));
  kernels::gather_rows(cpu, rows, Index{0}, ids.data(), matrix<T>(out, ids.elements(), rows.columns));
  return out;
}

template <class T, class I>
Tensor<T> embedding(const Tensor<I>& ids, Tensor<T>& weight, const EmbeddingOptions& options) {
  (void)padding_row(options.padding_idx, table(weight).rows);
  if (options.max_norm) renormalize_rows(ids, weight, *options.max_norm, options.norm_type);
  auto rest = options;
  rest.max_norm.reset();
  return embedding(ids, std::as_const(weight), rest);
}

template <class T, class I>
void renormalize_rows(const Tensor<I>& ids, Tensor<T>& weight, double max_norm, double norm_type) {
  require(max_norm > 0, "max_norm is {}, but must be positive", max_norm);
  require(norm_type > 0, "norm_type is {}, but must be positive", norm_type);
  const auto rows = table(weight);
  const auto named = plan(ids, rows.rows, -1);
  const auto distinct = static_cast<Index>(named.rows.size());
  std::vector<double> norms(named.rows.size());
  kernels::row_power_sums(cpu, rows, named.rows.data(), distinct, norm_type, norms.data());
  for (double& n : norms) {
    if (!std::isinf(norm_type)) n = std::pow(n, 1 / norm_type);
    n = n > max_norm ? max_norm / (n + 1e-7) : 1;
  }
  kernels::scale_rows(cpu, named.rows.data(), distinct, norms.data(), matrix<T>(weight, rows.rows, rows.columns));
}

template <class T, class I>
Tensor<T> embedding_dense_backward(const Tensor<I>& ids, const Tensor<T>& upstream, Index num_embeddings,
                                   const EmbeddingOptions& options) {
  const Contributions<T> contributions(ids, upstream, num_embeddings, options);
  Tensor<T> gradient(Shape{num_embeddings, contributions.columns}, T{});
  kernels::accumulate_rows(cpu, contributions.hits, contributions.all(),
                           matrix<T>(gradient, num_embeddings, contributions.columns));
  return gradient;
}

template <class T, class I>
GradientRows<T> embedding_sparse_backward(const Tensor<I>& ids, const Tensor<T>& upstream, Index num_embeddings,
                                          const EmbeddingOptions& options) {
  Contributions<T> contributions(ids, upstream, num_embeddings, options);
  const auto distinct = static_cast<Index>(contributions.hits.rows.size());
  Tensor<T> values(Shape{distinct, contributions.columns});
  kernels::fold_rows(cpu, contributions.hits, contributions.all(), matrix<T>(values, distinct, contributions.columns));
  return {.rows = std::move(contributions.hits.rows), .values = std::move(values)};
}

#define INSTANTIATE(T, I)                                                                                          \
  template Tensor<T> embedding(const Tensor<I>&, const Tensor<T>&, const EmbeddingOptions&);                       \
  template Tensor<T> embedding(const Tensor<I>&, Tensor<T>&, const EmbeddingOptions&);                             \
  template void renormalize_rows(const Tensor<I>&, Tensor<T>&, double, double);                                    \
  template Tensor<T> embedding_dense_backward(const Tensor<I>&, const Tensor<T>&, Index, const EmbeddingOptions&); \
  template GradientRows<T> embedding_sparse_backward(const Tensor<I>&, const Tensor<T>&, Index,                    \
                                                     const EmbeddingOptions&);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
