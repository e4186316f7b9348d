#include <tartan/nn/embedding_bag.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "nn/pooling.hpp"

namespace tartan {

template <class T>
DistributedEmbeddingBag<T>::DistributedEmbeddingBag(const CartesianTopology& topology, EmbeddingLayerOptions options,
                                                    EmbeddingBagOptions bag_options)
    : EmbeddingTable<T>(topology, std::move(options)), bag_options_(bag_options) {
  require_possible();
}

template <class T>
DistributedEmbeddingBag<T>::DistributedEmbeddingBag(const CartesianTopology& topology,
                                                    const DistributedTensor<T>& weight, EmbeddingLayerOptions options,
                                                    EmbeddingBagOptions bag_options)
    : EmbeddingTable<T>(topology, weight, std::move(options)), bag_options_(bag_options) {
  require_possible();
}

template <class T>
void DistributedEmbeddingBag<T>::require_possible() const {
  const auto& options = this->options();
  lookup::Pooling<T>{bag_options_.mode, {}}.require_possible({}, options.scale_grad_by_freq);
  require(bag_options_.mode != BagMode::max || !options.output.is_partial(),
          "the embedding '{}' cannot give the largest rows of bags as {} along the rows axis: Replicate or Shard(d)",
          options.name, options.output);
}

template <class T>
template <class I>
Variable<T> DistributedEmbeddingBag<T>::operator()(const Bags<I>& bags, const Variable<T>& per_sample_weights) const {
  const lookup::Pooling<T> pooling{bag_options_.mode, per_sample_weights};
  pooling.require_possible(bags.ids().shape(), this->options().scale_grad_by_freq);
  require(!bag_options_.include_last_offset || bags.include_last_offset().value_or(true),
          "the embedding '{}' is to include the last offset, but its bags were made of offsets that do not",
          this->options().name);
  const bool whole_rows = pooling.mode == BagMode::max || this->options().reproducible;
  return this->as_asked(lookup::pooled(this->look_up(bags.ids(), bags.distribution(), whole_rows), bags, pooling));
}

#define INSTANTIATE(T) template class DistributedEmbeddingBag<T>;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

#define INSTANTIATE(T, I) \
  template Variable<T> DistributedEmbeddingBag<T>::operator()(const Bags<I>&, const Variable<T>&) const;
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
