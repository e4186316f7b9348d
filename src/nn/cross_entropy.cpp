#include <tartan/nn/cross_entropy.hpp>

#include "base/element_types.hpp"
#include "nn/class_loss.hpp"
#include "tensor/rows_of.hpp"

namespace tartan {

Distribution target_distribution(const Distribution& logits) {
  return classes::layout_of("target_distribution", logits).rows;
}

namespace functional {
template <class T, class I>
Variable<T> cross_entropy(const Variable<T>& logits, const DistributedTensor<I>& targets,
                          const CrossEntropyOptions<std::type_identity_t<T>>& options) {
  const auto question = classes::ask<T, I>(logits.distribution(), targets, options);
  const auto& layout = question.layout;
  const int fields = question.fields;
  auto statistics = classes::shard_statistics(logits.value(), layout, question.local_weights(), fields);
  statistics.modify([&](Tensor<double>& rows) {
    if (rows.elements() == 0) return;
    kernels::on(rows.device(), [&](auto where) {
      kernels::pick_targets(where, rows_of(logits.value().local()), targets.local().data(), question.layout.mine.begin,
                            question.loss.ignored, question.local_weights(), question.fields, rows.data());
    });
  });
  statistics = classes::combined(std::move(statistics), layout, question.ordered);
  auto [value, totals] = classes::answer(question, statistics);

  auto result = Variable<T>::result(std::move(value), records(logits));
  if (result.requires_gradient()) {
    GradientTape::active()->record(
        "cross-entropy", [logits, result, question, statistics, totals = totals, saved = Saved(logits.value())] {
          const auto g = result.take_contributions();
          if (!g) return;
          const auto& at = saved.get().local();
          const auto* const labels = question.targets.get().local().data();
          const auto* const weights = question.local_weights();
          logits.contribute(rules::computed<T>(logits.distribution(), [&](auto where, Tensor<T>& out) {
            if (out.elements() == 0) return;
            kernels::class_losses_backward(where, rows_of(at), labels, question.layout.mine.begin, weights,
                                           statistics.local().data(), question.fields, question.loss,
                                           classes::upstream(question.reduction, *g, totals), rows_of(out));
          }));
        });
  }
  return result;
}

#define INSTANTIATE(T, I) \
  template Variable<T> cross_entropy(const Variable<T>&, const DistributedTensor<I>&, const CrossEntropyOptions<T>&);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace functional
}  // namespace tartan
