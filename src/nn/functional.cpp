#include <tartan/nn/functional.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "nn/pooling.hpp"

namespace tartan::functional {
namespace {

template <class T, class I>
Variable<T> pooled(const Bags<I>& bags, const Variable<T>& weight, BagMode mode, const EmbeddingOptions& options,
                   const Variable<T>& per_sample_weights, lookup::Moving moving) {
  const lookup::Pooling<T> pooling{mode, per_sample_weights};
  pooling.require_possible(bags.ids().shape(), options.scale_grad_by_freq);
  const auto result = lookup::Route(bags.distribution(), weight.distribution(), moving).result;
  require(mode != BagMode::max || !result.any(Placement::Kind::partial),
          "the largest of a bag's rows is no sum of terms, which the result {} has: embedding_bag_by_rows brings all "
          "rows of a bag together",
          result);
  return lookup::pooled(lookup::Lookup<T, I>(bags.ids(), weight, options, moving), bags, pooling);
}

}  // namespace

template <class T, class I>
Variable<T> embedding(const DistributedTensor<I>& ids, const Variable<T>& weight, const EmbeddingOptions& options) {
  return lookup::looked_up(lookup::Lookup<T, I>(ids, weight, options, lookup::Moving::nothing));
}

template <class T, class I>
Variable<T> embedding_by_rows(const DistributedTensor<I>& ids, const Variable<T>& weight,
                              const EmbeddingOptions& options) {
  return lookup::looked_up(lookup::Lookup<T, I>(ids, weight, options, lookup::Moving::rows));
}

template <class T, class I>
Variable<T> embedding_bag(const Bags<I>& bags, const Variable<T>& weight, BagMode mode, const EmbeddingOptions& options,
                          const Variable<T>& per_sample_weights) {
  return pooled(bags, weight, mode, options, per_sample_weights, lookup::Moving::nothing);
}

template <class T, class I>
Variable<T> embedding_bag_by_rows(const Bags<I>& bags, const Variable<T>& weight, BagMode mode,
                                  const EmbeddingOptions& options, const Variable<T>& per_sample_weights) {
  return pooled(bags, weight, mode, options, per_sample_weights, lookup::Moving::rows);
}

#define INSTANTIATE(T, I)                                                                                           \
  template Variable<T> embedding(const DistributedTensor<I>&, const Variable<T>&, const EmbeddingOptions&);         \
  template Variable<T> embedding_by_rows(const DistributedTensor<I>&, const Variable<T>&, const EmbeddingOptions&); \
  template Variable<T> embedding_bag(const Bags<I>&, const Variable<T>&, BagMode, const EmbeddingOptions&,          \
                                     const Variable<T>&);                                                           \
  template Variable<T> embedding_bag_by_rows(const Bags<I>&, const Variable<T>&, BagMode, const EmbeddingOptions&,  \
                                             const Variable<T>&);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
