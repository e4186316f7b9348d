#include <tartan/nn/functional.hpp>

#include <tartan/autograd/tape.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "nn/lookup.hpp"

namespace tartan::functional {
namespace {

using namespace lookup;

struct Placed {
  Distribution result;
  Distribution gradient;
};

/// The table of embedding(): where result and gradient are, from where weight and ids are.
Placed placed(const Distribution& ids, const Distribution& weight) {
  require_fit(ids, weight);
  auto result = ids.placements();
  auto gradient = weight.placements();
  for (std::size_t axis = 0; axis < result.size(); ++axis) {
    const auto w = weight.placements()[axis];
    const auto i = ids.placements()[axis];
    if (w.is_shard(0) || w.is_partial()) result[axis] = Partial{};
    if (w.is_shard(1)) result[axis] = Shard{-1};
    if (w.is_replicate() && i.is_shard()) gradient[axis] = Partial{};
    if (w.is_partial()) gradient[axis] = Replicate{};
  }
  // The dimensions of ids nest as they do there, the columns as they do in the weight.
  auto options = ids.options();
  for (auto& [axis, extents] : weight.options().block_extents) {
    if (weight.placement(axis).is_shard(1)) options.block_extents[axis] = extents;
  }
  if (weight.axes_of(1).size() > 1) options.nesting = weight.nesting();
  return {Distribution(ids.topology(), ids.shape().appended(weight.shape()[1]), std::move(result), std::move(options)),
          weight.with(std::move(gradient), weight.options())};
}

}  // namespace

template <class T, class I>
Variable<T> embedding(const DistributedTensor<I>& ids, const Variable<T>& weight, const EmbeddingOptions& options) {
  const auto where = placed(ids.distribution(), weight.distribution());
  const Index padding = padding_row(options.padding_idx, weight.shape()[0]);
  check_ids(ids, weight.shape()[0]);
  if (options.max_norm) renormalize_rows(ids, weight, *options.max_norm, options.norm_type);

  const Block block(weight.distribution());
  DistributedTensor<T> rows(where.result);
  rows.modify([&](Tensor<T>& out) {
    kernels::gather_rows(cpu, matrix<const T>(weight.value().local(), block.rows, block.columns), block.first_row,
                         ids.local().data(), matrix<T>(out, ids.local().elements(), block.columns));
  });
  auto result = Variable<T>::result(std::move(rows), records(weight));
  if (result.requires_gradient()) {
    GradientTape::active()->record("an embedding",
                                   [weight, result, padding, options, gradient = where.gradient, saved = Saved(ids)] {
                                     auto upstream = result.take_contributions();
                                     if (!upstream) return;
                                     if (options.scale_grad_by_freq) divide_by_frequencies(saved.get(), *upstream);
                                     if (options.sparse) {
                                       weight.contribute(sparse_gradient(saved.get(), *upstream, gradient, padding));
                                     } else {
                                       weight.contribute(dense_gradient(saved.get(), *upstream, gradient, padding));
                                     }
                                   });
  }
  return result;
}

#define INSTANTIATE(T, I) \
  template Variable<T> embedding(const DistributedTensor<I>&, const Variable<T>&, const EmbeddingOptions&);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
