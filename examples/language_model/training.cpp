#include "training.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>
#include <span>

namespace language_model {
namespace {

using tartan::DistributedTensor;
using tartan::Placements;
using tartan::Replicate;

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Of the steps from 0.
double learning_rate(Index step, const Options& options) {
  const double warm_up = std::max(1.0, static_cast<double>(options.steps) / 10);
  const double now = static_cast<double>(step) + 1;
  if (now < warm_up) return options.learning_rate * now / warm_up;
  const double rest = std::max(1.0, static_cast<double>(options.steps) - warm_up);
  return options.learning_rate * (1 + std::cos(std::numbers::pi * std::min(1.0, (now - warm_up) / rest))) / 2;
}

}  // namespace

void train(const tartan::CartesianTopology& grid, Transformer& model, const Text& text, const Options& options,
           const Progress& progress) {
  tartan::Adam<float> adam(model.parameters(), {.learning_rate = options.learning_rate, .beta2 = 0.99});
  model.set_training(true);
  const auto placed = model.input_distribution(options.batch, options.context);
  const tartan::RandomStream draws(options.seed, "batches");
  const auto part = text.training();
  const Index last_start = std::ssize(part) - options.context - 1;
  const double tokens_of_step = static_cast<double>(options.batch * options.context);

  double loss_sum = 0;
  Index bytes = 0, first = 0;
  double start = seconds();
  for (Index step = 0; step < options.steps; ++step) {
    std::vector<Index> starts;
    for (Index i = 0; i < options.batch; ++i) starts.push_back(draws.below(step * options.batch + i, last_start + 1));
    const Batch batch(placed, part, starts);
    adam.set_learning_rate(learning_rate(step, options));
    {
      const tartan::CommRecorder recorder;
      tartan::GradientTape tape;
      const auto loss = tartan::functional::cross_entropy(model(batch.tokens), batch.next);
      tape.backward(loss);
      tartan::clip_gradient_norm(model.parameters(), 1);
      adam.step();
      adam.clear_gradients();
      bytes += recorder.bytes();
      loss_sum += item(loss);
    }
    if (!std::isfinite(loss_sum)) {
      throw tartan::Error("the loss is not finite in step " + std::to_string(step) +
                          ": a smaller --learning-rate helps");
    }

    const Index tenths = 10 * (step + 1) / options.steps;
    if (tenths == 10 * step / options.steps) continue;
    Index all = 0;
    grid.root().all_reduce(std::span<const Index>(&bytes, 1), std::span<Index>(&all, 1));
    const auto steps = static_cast<double>(step + 1 - first);
    progress({.step = step + 1,
              .loss = loss_sum / steps,
              .tokens_per_second = steps * tokens_of_step / (seconds() - start),
              .bytes_per_token = static_cast<double>(all) / (steps * tokens_of_step)});
    loss_sum = 0;
    bytes = 0;
    first = step + 1;
    start = seconds();
  }
}

double validation_loss(Transformer& model, const Text& text, const Options& options) {
  model.set_training(false);
  const auto part = text.validation();
  const Index predicted = std::ssize(part) - 1;
  double sum = 0;
  for (Index begin = 0; begin < predicted; begin += options.batch * options.context) {
    std::vector<Index> starts;
    for (Index i = 0; i < options.batch; ++i) starts.push_back(begin + i * options.context);
    const Batch batch(model.input_distribution(options.batch, options.context), part, starts);
    sum += item(
        tartan::functional::cross_entropy(model(batch.tokens), batch.next, {.reduction = tartan::LossReduction::sum}));
  }
  return sum / static_cast<double>(predicted);
}

std::vector<std::int32_t> sample(const tartan::CartesianTopology& grid, Transformer& model,
                                 std::vector<std::int32_t> start, Index count, const Options& options) {
  model.set_training(false);
  const tartan::RandomStream draws(options.seed, "sample");
  auto tokens = std::move(start);
  const auto begin = static_cast<std::ptrdiff_t>(tokens.size());
  for (Index i = 0; i < count; ++i) {
    const Index length = std::min(std::ssize(tokens), options.context);
    const auto window = std::span(tokens).last(static_cast<std::size_t>(length));
    const auto ids = DistributedTensor<std::int32_t>::from_function(
        {grid, {1, length}, Placements(2, Replicate{})},
        [&](std::span<const Index> at) { return window[static_cast<std::size_t>(at[1])]; });
    const auto logits = model(ids);
    const auto next = slice(logits, 1, length - 1, length);
    const auto best = tartan::top_k(next.value(), std::min<Index>(40, logits.shape()[2]));
    const auto values = best.values.full_tensor();
    const auto classes = best.classes.full_tensor();
    double total = 0;
    for (const float value : values.span()) total += std::exp(static_cast<double>(value - values[0]));
    double drawn = draws.uniform(i) * total;
    Index choice = 0;
    while (choice + 1 < classes.elements()) {
      drawn -= std::exp(static_cast<double>(values[choice] - values[0]));
      if (drawn < 0) break;
      ++choice;
    }
    tokens.push_back(static_cast<std::int32_t>(classes[choice]));
  }
  return {tokens.begin() + begin, tokens.end()};
}

}  // namespace language_model
