#pragma once

#include <tartan/partition/cartesian_topology.hpp>
#include <tartan/tensor/tensor.hpp>

#include "options.hpp"
#include "progress.hpp"
#include "vocabulary.hpp"

namespace word_vectors {

struct TrainingResult {
  tartan::Tensor<float> vectors;  ///< the input table, (words, dimension), on position 0 of the grid
  double loss = 0;                ///< mean of the last epoch per pair with its negatives, in nats
  Index steps = 0;                ///< of all epochs, as the targets are
  Index targets = 0;              ///< context words and negatives
  Index bytes = 0;                ///< payload that all ranks sent for the steps
  double words_per_second = 0;    ///< corpus words × epochs over the time of training
  double bytes_per_word = 0;      ///< bytes over corpus words × epochs
};

/// Collective over the grid's root. Skip-gram with negative sampling (Mikolov et al. 2013) in mini-batches: two tables
/// on a data × rows × columns grid, the batch split over the data axis, Adagrad with a linearly decaying rate. Throws
/// tartan::Error on every rank where the loss is not finite. `progress` is null on all ranks but one.
TrainingResult train(const tartan::CartesianTopology& grid, const Vocabulary& vocabulary, const Sentences& sentences,
                     const Options& options, Progress* progress);

}  // namespace word_vectors
