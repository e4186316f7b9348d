#include <tartan/nn/functional.hpp>

#include "base/element_types.hpp"
#include "nn/lookup.hpp"

namespace tartan::functional {

template <class T, class I>
Variable<T> embedding(const DistributedTensor<I>& ids, const Variable<T>& weight, const EmbeddingOptions& options) {
  return lookup::looked_up(lookup::Lookup<T, I>(ids, weight, options, lookup::Moving::nothing));
}

template <class T, class I>
Variable<T> embedding_by_rows(const DistributedTensor<I>& ids, const Variable<T>& weight,
                              const EmbeddingOptions& options) {
  return lookup::looked_up(lookup::Lookup<T, I>(ids, weight, options, lookup::Moving::rows));
}

#define INSTANTIATE(T, I)                                                                                   \
  template Variable<T> embedding(const DistributedTensor<I>&, const Variable<T>&, const EmbeddingOptions&); \
  template Variable<T> embedding_by_rows(const DistributedTensor<I>&, const Variable<T>&, const EmbeddingOptions&);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
