#include <tartan/nn/top_k.hpp>

#include "autograd/classes.hpp"
#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/top_k.hpp"
#include "tensor/rows_of.hpp"

namespace tartan {

template <class T>
TopK<T> top_k(const DistributedTensor<T>& logits, Index k) {
  const auto layout = classes::layout_of("top_k", logits.distribution());
  const Index count = logits.shape()[logits.shape().dimensions() - 1];
  require(1 <= k && k <= count, "top_k takes a k from 1 to {}, the classes, not {}", count, k);
  constexpr Index doubles = sizeof(kernels::Ranked) / sizeof(double);
  const auto shards =
      rules::computed<double>(classes::with_columns(layout.rows, k * doubles), [&](auto where, Tensor<double>& out) {
        if (out.elements() == 0) return;
        kernels::rank_classes(where, rows_of(logits.local()), layout.mine.begin, k,
                              reinterpret_cast<kernels::Ranked*>(out.data()));
      });
  const auto all = classes::gathered(shards, layout);
  TopK<T> result{DistributedTensor<T>(classes::with_columns(layout.rows, k)),
                 DistributedTensor<Index>(classes::with_columns(layout.rows, k))};
  result.values.modify([&](Tensor<T>& values) {
    result.classes.modify([&](Tensor<Index>& found) {
      if (values.elements() == 0) return;
      kernels::on(values.device(), [&](auto where) {
        kernels::merge_ranked(where, reinterpret_cast<const kernels::Ranked*>(all.local().data()),
                              all.local().elements() / (values.elements() * doubles), values.elements() / k, k,
                              values.data(), found.data());
      });
    });
  });
  return result;
}

template <class T>
DistributedTensor<Index> argmax(const DistributedTensor<T>& logits) {
  const auto layout = classes::layout_of("argmax", logits.distribution());
  return top_k(logits, 1).classes.viewed_as(layout.rows);
}

#define INSTANTIATE(T)                                        \
  template TopK<T> top_k(const DistributedTensor<T>&, Index); \
  template DistributedTensor<Index> argmax(const DistributedTensor<T>&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
