#pragma once

#include <optional>
#include <utility>
#include <vector>

#include <tartan/distributed/combine.hpp>
#include <tartan/distributed/redistribution.hpp>
#include <tartan/nn/cross_entropy.hpp>

#include "autograd/classes.hpp"
#include "autograd/rules.hpp"
#include "base/fail.hpp"
#include "kernels/elementwise.hpp"
#include "nn/ids.hpp"

/// The parts of cross-entropies that do not depend on where the logits come from.
namespace tartan::classes {

/// What a loss is asked for, apart from the logits.
template <class T, class I>
struct Question {
  Layout layout;
  Saved<I> targets;
  std::optional<Saved<T>> weights;  ///< of this rank's classes, or none
  kernels::ClassLoss loss;
  int fields;
  LossReduction reduction;
  bool ordered;

  const T* local_weights() const { return weights ? weights->get().local().data() : nullptr; }
};

/// The weights as the classes are.
template <class T>
DistributedTensor<T> placed_weights(const DistributedTensor<T>& weight, const Distribution& logits) {
  const int last = logits.shape().dimensions() - 1;
  auto placements = logits.placements();
  auto options = logits.options();
  for (std::size_t axis = 0; axis < placements.size(); ++axis) {
    const bool cuts = placements[axis].is_shard(last);
    placements[axis] = cuts ? Placement(Shard{0}) : Replicate{};
    if (!cuts) options.block_extents.erase(static_cast<int>(axis));
  }
  const Distribution expected(logits.topology(), Shape{logits.shape()[last]}, std::move(placements),
                              std::move(options));
  const auto& given = weight.distribution();
  const bool everywhere = given.topology() == logits.topology() && given.shape() == expected.shape() &&
                          given.placements() == Placements(expected.placements().size(), Replicate{});
  require(everywhere || given == expected, "cross-entropy takes class weights placed as {}, or Replicate, not as {}",
          expected, given);
  return redistribute(weight, expected);
}

/// Throws Error on every rank where what is asked for does not fit logits of that distribution. Collective where
/// targets have not been checked before.
template <class T, class I>
Question<T, I> ask(const Distribution& logits, const DistributedTensor<I>& targets,
                   const CrossEntropyOptions<T>& options) {
  auto layout = layout_of("cross-entropy", logits);
  const Index count = logits.shape()[logits.shape().dimensions() - 1];
  const double smoothing = options.label_smoothing;
  require(0 <= smoothing && smoothing <= 1, "cross-entropy has a label_smoothing of {}, which is not in [0, 1]",
          smoothing);
  require(targets.distribution() == layout.rows,
          "cross-entropy takes targets placed as {} for logits placed as {}, not as {}; redistribute(targets, "
          "target_distribution(logits.distribution()))",
          layout.rows, logits, targets.distribution());
  std::optional<Saved<T>> weights;
  if (!options.weight.is_null()) weights.emplace(placed_weights(options.weight, logits));
  lookup::check_ids(targets, count,
                    {.id = "target",
                     .table = "the last dimension of the logits",
                     .rows = "classes",
                     .allowed = options.ignore_index});
  return {std::move(layout),
          Saved(targets),
          std::move(weights),
          {options.ignore_index, smoothing, count},
          smoothing > 0 || !options.weight.is_null() ? 6 : 3,
          options.reduction,
          options.reproducible};
}

template <class T>
struct Answer {
  DistributedTensor<T> value;
  Tensor<double> totals;  ///< of the mean: the sums of losses and of weights
};

/// Collective along the axes that cut rows, for the mean: the loss from the statistics of whole rows.
template <class T, class I>
Answer<T> answer(const Question<T, I>& question, const DistributedTensor<double>& statistics) {
  const auto& rows = question.layout.rows;
  const auto& topology = rows.topology();
  const auto device = topology.device();
  const Index count = topology.active() ? rows.local_shape(topology.rank()).elements() : 0;
  const bool whole = question.reduction == LossReduction::mean;
  Tensor<double> losses(Shape{count}, device), weights(Shape{count}, device), totals(Shape{2}, device);
  if (topology.active()) {
    kernels::on(device, [&](auto where) {
      kernels::class_losses(where, statistics.local().data(), question.fields, question.targets.get().local().data(),
                            count, question.loss, losses.data(), weights.data());
      if (question.reduction == LossReduction::none) return;
      kernels::sum(where, losses.data(), count, totals.data());
      kernels::sum(where, weights.data(), count, totals.data() + 1);
    });
  }
  auto result = rows;
  if (whole) {
    std::vector<int> cut;
    for (int axis = 0; axis < rows.grid().axes(); ++axis) {
      if (rows.placement(axis).is_shard() && rows.grid().extent(axis) > 1) cut.push_back(axis);
    }
    combine_along(topology, cut, totals);
    result = {topology, Shape{}, Placements(rows.placements().size(), Replicate{})};
  } else if (question.reduction == LossReduction::sum) {
    result = rules::summed(rows);
  }
  const double* const values = question.reduction == LossReduction::none ? losses.data() : totals.data();
  auto value = rules::computed<T>(result, [&](auto where, Tensor<T>& out) {
    kernels::quotients(where, values, whole ? totals.data() + 1 : nullptr, out.elements(), out.data());
  });
  return {std::move(value), std::move(totals)};
}

/// What the gradient of the losses is multiplied by.
template <class T>
kernels::Upstream<T> upstream(LossReduction reduction, const DistributedTensor<T>& gradient,
                              const Tensor<double>& totals) {
  return {gradient.local().data(), reduction != LossReduction::none,
          reduction == LossReduction::mean ? totals.data() + 1 : nullptr};
}

}  // namespace tartan::classes
