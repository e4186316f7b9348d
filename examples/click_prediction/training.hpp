#pragma once

#include <functional>

#include <tartan/partition/cartesian_topology.hpp>

#include "options.hpp"

namespace click_prediction {

/// The same on every rank but for the times.
struct Result {
  double area_under_curve;  ///< of the model on the test samples
  double ceiling;           ///< of the true scores on the same samples
  double samples_per_second;
};

/// Called ten times during training: samples seen, and the loss of the batch.
using Progress = std::function<void(Index samples, double loss)>;

/// Collective over the grid. Trains a model on new samples in each step and tests it on others. Throws tartan::Error on
/// every rank where the loss is not finite.
Result train_and_test(const tartan::CartesianTopology& grid, const Options& options, const Progress& progress);

}  // namespace click_prediction
