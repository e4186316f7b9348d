#include <tartan/nn/local_embedding.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/row_copies.hpp"
#include "nn/local_ids.hpp"
#include "nn/row_norms.hpp"

namespace tartan::functional {
namespace {

using namespace lookup;

template <class T>
kernels::Matrix<const T> table(const Tensor<T>& weight) {
  require(weight.shape().dimensions() == 2, "an embedding takes a weight of two dimensions, not one of the shape {}",
          weight.shape());
  return matrix<const T>(weight, weight.shape()[0], weight.shape()[1]);
}

/// What both adjoints fold: which rows of a table are hit, and by what.
template <class T, class I>
struct Adjoint {
  Device device;
  Tensor<I> ids;
  kernels::Matrix<const T> upstream;
  Index rows;
  Index padding;
  bool scaled;

  Adjoint(const Tensor<I>& given, const Tensor<T>& gradient, Index num_embeddings, const EmbeddingOptions& options)
      : device{gradient.device()}, rows{num_embeddings}, scaled{options.scale_grad_by_freq} {
    require(rows >= 0, "an embedding has {} rows", rows);
    const auto& shape = gradient.shape();
    require(shape.dimensions() == given.shape().dimensions() + 1 &&
                shape == given.shape().appended(shape[shape.dimensions() - 1]),
            "the gradient of a lookup of ids of the shape {} has that shape with the row's extent appended, not {}",
            given.shape(), shape);
    upstream = matrix<const T>(gradient, given.elements(), shape[shape.dimensions() - 1]);
    require_in_range(given, rows);
    padding = padding_row(options.padding_idx, rows);
    ids = given.to(device);
  }

  template <class Where>
  auto plan(Where where) const {
    return kernels::plan_rows(where, ids.data(), ids.elements(), Index{0}, rows, padding);
  }

  /// The rows that are hit: what the hits add up to, divided by their number where `scaled`.
  template <class Where, class Plan>
  Tensor<T> folded(Where where, const Plan& hits) const {
    const Index columns = upstream.columns;
    if (!scaled) {
      Tensor<T> sums(Shape{hits.distinct(), columns}, device);
      kernels::fold_rows(where, hits, upstream, matrix<T>(sums, hits.distinct(), columns));
      return sums;
    }
    using A = Accumulator<T>;
    Tensor<Index> counts(Shape{ids.elements()}, device);
    kernels::hit_counts(where, hits, counts.elements(), counts.data());
    Tensor<A> shares(Shape{ids.elements(), columns}, device);
    kernels::contributed_rows<T>(where, upstream, nullptr, counts.data(), matrix<A>(shares, ids.elements(), columns));
    Tensor<A> sums(Shape{hits.distinct(), columns}, device);
    kernels::fold_rows(where, hits, matrix<const A>(shares, ids.elements(), columns),
                       matrix<A>(sums, hits.distinct(), columns));
    return rounded<T>(sums);
  }
};

}  // namespace

template <class T, class I>
Tensor<T> embedding(const Tensor<I>& ids, const Tensor<T>& weight, const EmbeddingOptions& options) {
  const auto rows = table(weight);
  require(!options.max_norm, "a lookup with max_norm {} shrinks rows of its weight, which is const here",
          options.max_norm.value_or(0));
  (void)padding_row(options.padding_idx, rows.rows);
  require_in_range(ids, rows.rows);
  const auto here = ids.to(weight.device());
  Tensor<T> out(ids.shape().appended(rows.columns), weight.device());
  kernels::on(weight.device(), [&](auto where) {
    kernels::gather_rows(where, rows, Index{0}, here.data(), matrix<T>(out, here.elements(), rows.columns));
  });
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
  require_in_range(ids, rows.rows);
  const auto here = ids.to(weight.device());
  kernels::on(weight.device(), [&](auto where) {
    const auto plan = kernels::plan_rows(where, here.data(), here.elements(), Index{0}, rows.rows, Index{-1});
    const Index* const named = kernels::distinct_rows(where, plan);
    Tensor<double> sums(Shape{plan.distinct()}, weight.device());
    kernels::row_power_sums(where, rows, named, sums.elements(), norm_type, sums.data());
    auto norms = sums.to(Device{});
    turn_into_factors(norms.span(), {max_norm, norm_type, false});
    const auto factors = norms.to(weight.device());
    kernels::scale_rows(where, named, factors.elements(), factors.data(), matrix<T>(weight, rows.rows, rows.columns));
  });
}

template <class T, class I>
Tensor<T> embedding_dense_backward(const Tensor<I>& ids, const Tensor<T>& upstream, Index num_embeddings,
                                   const EmbeddingOptions& options) {
  const Adjoint<T, I> adjoint(ids, upstream, num_embeddings, options);
  const Index columns = adjoint.upstream.columns;
  Tensor<T> gradient(Shape{num_embeddings, columns}, adjoint.device);
  gradient.fill(T{});
  const auto out = matrix<T>(gradient, num_embeddings, columns);
  kernels::on(adjoint.device, [&](auto where) {
    const auto plan = adjoint.plan(where);
    if (!adjoint.scaled) return kernels::accumulate_rows(where, plan, adjoint.upstream, out);
    const auto sums = adjoint.folded(where, plan);
    kernels::add_rows(where, kernels::distinct_rows(where, plan), plan.distinct(),
                      matrix<const T>(sums, plan.distinct(), columns), out);
  });
  return gradient;
}

template <class T, class I>
GradientRows<T> embedding_sparse_backward(const Tensor<I>& ids, const Tensor<T>& upstream, Index num_embeddings,
                                          const EmbeddingOptions& options) {
  const Adjoint<T, I> adjoint(ids, upstream, num_embeddings, options);
  return kernels::on(adjoint.device, [&](auto where) {
    const auto plan = adjoint.plan(where);
    return GradientRows<T>{.rows = plan.rows_on_host(), .values = adjoint.folded(where, plan)};
  });
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
