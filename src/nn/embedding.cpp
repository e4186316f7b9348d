#include <tartan/nn/embedding.hpp>

#include "base/element_types.hpp"
#include "nn/lookup.hpp"

namespace tartan {

template <class T>
template <class I>
Variable<T> DistributedEmbedding<T>::operator()(const DistributedTensor<I>& ids) const {
  return this->as_asked(lookup::looked_up(this->look_up(ids, ids.distribution(), false)));
}

#define INSTANTIATE(T) template class DistributedEmbedding<T>;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

#define INSTANTIATE(T, I) template Variable<T> DistributedEmbedding<T>::operator()(const DistributedTensor<I>&) const;
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
