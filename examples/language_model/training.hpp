#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model.hpp"
#include "text.hpp"

namespace language_model {

/// Of one stretch of training; the same on every rank but for the time.
struct Report {
  Index step;   ///< so many have been made
  double loss;  ///< the mean over the stretch, in nats a token
  double tokens_per_second;
  double bytes_per_token;  ///< that all ranks together sent, over the tokens of the whole batch
};
using Progress = std::function<void(const Report&)>;

/// Collective over the grid. Trains `model` on batches that are a function of the seed and the step, the same on every
/// grid: Adam with a warm-up over the first tenth of the steps and a cosine to 0, gradients clipped to the norm 1.
/// Calls `progress` ten times. Throws tartan::Error on every rank where the loss is not finite.
void train(const tartan::CartesianTopology& grid, Transformer& model, const Text& text, const Options& options,
           const Progress& progress);

/// Collective over the grid of the model. The mean loss, in nats a token, over all tokens of the validation text but
/// the first.
double validation_loss(Transformer& model, const Text& text, const Options& options);

/// Collective over the grid. `count` tokens that follow `start`, each drawn from the 40 likeliest; the same on every
/// rank, and on every grid but for rounding.
std::vector<std::int32_t> sample(const tartan::CartesianTopology& grid, Transformer& model,
                                 std::vector<std::int32_t> start, Index count, const Options& options);

}  // namespace language_model
