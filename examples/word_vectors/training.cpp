#include "training.hpp"

#include <algorithm>
#include <cmath>

#include <tartan/tartan.hpp>

namespace word_vectors {
namespace {

using tartan::DistributedTensor;
using tartan::Index;
using tartan::Replicate;
using tartan::Shape;
using tartan::Tensor;

tartan::Placement placement_of(Storage storage) {
  switch (storage) {
    case Storage::replicate:
      return Replicate{};
    case Storage::shard:
      return tartan::Shard{0};
    case Storage::root:
      break;
  }
  return tartan::Root{};
}

tartan::Exchange exchange_of(Movement movement) {
  switch (movement) {
    case Movement::table:
      return tartan::Exchange::table;
    case Movement::rows:
      return tartan::Exchange::rows;
    case Movement::automatic:
      break;
  }
  return tartan::Exchange::automatic;
}

tartan::DistributedEmbedding<float> table(const tartan::CartesianTopology& grid, const std::string& name, Index words,
                                          const Options& options, tartan::Initializer initial) {
  // Where tables move to several data ranks, their gradients come back whole as well.
  const bool whole = options.exchange == Movement::table && grid.grid().extent(0) > 1;
  return {grid,
          {.name = name,
           .num_embeddings = words,
           .embedding_dim = options.dimension,
           .sparse = !whole,
           .reproducible = options.reproducible,
           .seed = options.seed,
           .initial = std::move(initial),
           .storage = placement_of(options.storage),
           .exchange = exchange_of(options.exchange)}};
}

/// This rank's ids and labels of one batch; the pairs are split over the data axis.
struct Inputs {
  DistributedTensor<std::int32_t> centres;  ///< (pairs)
  DistributedTensor<std::int32_t> targets;  ///< (pairs, 1 + negatives): the context word, then the negatives
  DistributedTensor<float> labels;          ///< 1 for the context word, 0 for the negatives

  Inputs(const tartan::DistributedEmbedding<float>& layer, const Epoch& epoch, const Batch& batch, Index columns) {
    const auto pairs = static_cast<Index>(batch.pairs.size());
    const auto of_centres = layer.input_distribution(Shape{pairs});
    const auto of_targets = layer.input_distribution(Shape{pairs, columns});
    const int position = layer.weight().topology().rank();
    const auto mine = of_centres.box(position)[0];
    const auto part =
        std::span(batch.pairs).subspan(static_cast<std::size_t>(mine.begin), static_cast<std::size_t>(mine.extent()));
    Tensor<std::int32_t> my_centres(Shape{mine.extent()});
    std::ranges::transform(part, my_centres.data(), &Pair::centre);
    Tensor<std::int32_t> my_targets(of_targets.local_shape(position));
    std::ranges::copy(epoch.targets(batch.first_pair + mine.begin, part), my_targets.data());
    Tensor<float> my_labels(my_targets.shape(), 0.0F);
    for (Index i = 0; i < mine.extent(); ++i) my_labels[i * columns] = 1.0F;
    centres = placed(of_centres, my_centres);
    targets = placed(of_targets, my_targets);
    labels = placed(of_targets, my_labels);
  }

 private:
  template <class T>
  static DistributedTensor<T> placed(const tartan::Distribution& distribution, const Tensor<T>& mine) {
    return DistributedTensor<T>::from_local(distribution, mine, tartan::LocalCheck::none);
  }
};

}  // namespace

TrainingResult train(const tartan::CartesianTopology& grid, const Vocabulary& vocabulary, const Sentences& sentences,
                     const Options& options, Progress* progress) {
  const double half = 0.5 / static_cast<double>(options.dimension);
  const auto input = table(grid, "input", vocabulary.size(), options, tartan::initializers::uniform(-half, half));
  const auto output = table(grid, "output", vocabulary.size(), options, tartan::initializers::constant(0));
  // The accumulator starts above zero: from zero, Adagrad's first step is the sign of the gradient, and where a
  // gradient cancels to rounding noise that sign, a whole step, would depend on the grid.
  tartan::Adagrad<float> optimizer(
      {input.weight(), output.weight()},
      {.learning_rate = options.learning_rate, .epsilon = 1e-10, .initial_accumulator = 1e-4});

  const auto words = static_cast<double>(vocabulary.corpus_words());
  const auto start = Progress::steady_seconds();
  TrainingResult result;
  Index bytes = 0;
  for (Index e = 0; e < options.epochs; ++e) {
    const Epoch epoch(vocabulary, sentences, options.sampling, options.seed, e);
    double epoch_loss = 0;
    Index local_pairs = 0;
    tartan::Distribution loss_distribution;
    for (Index step = 0; step < epoch.steps(); ++step) {
      const Inputs batch(output, epoch, epoch.pairs(step), 1 + options.sampling.negatives);
      const double done = (static_cast<double>(e) + static_cast<double>(step) / static_cast<double>(epoch.steps())) /
                          static_cast<double>(options.epochs);
      optimizer.set_learning_rate(options.learning_rate * std::max(1e-4, 1 - done));

      const tartan::CommRecorder recorder;
      tartan::GradientTape tape;
      const auto products = dot(input(batch.centres), output(batch.targets), {.reproducible = options.reproducible});
      const auto scores = redistribute(products, batch.labels.distribution());
      const auto loss = binary_cross_entropy_with_logits(scores, batch.labels, tartan::LossReduction::sum);
      tape.backward(loss);
      optimizer.step();
      optimizer.clear_gradients();
      bytes += recorder.bytes();

      const double step_loss = loss.value().holds() ? loss.value().local_on_host()[0] : 0;
      tartan::collectively(grid.root(), [&] {
        if (std::isfinite(step_loss)) return;
        throw tartan::Error("the loss is not finite in step " + std::to_string(step) + " of epoch " +
                            std::to_string(e + 1) + ": a smaller --learning-rate helps");
      });
      epoch_loss += step_loss;
      local_pairs += batch.centres.local().elements();
      loss_distribution = loss.distribution();
      if (progress != nullptr) {
        const double passed =
            static_cast<double>(e) + static_cast<double>(step + 1) / static_cast<double>(epoch.steps());
        progress->update(static_cast<Index>(passed * words),
                         epoch_loss / static_cast<double>(std::max<Index>(local_pairs, 1)));
      }
    }
    result.steps += epoch.steps();
    result.targets += epoch.pair_count() * (1 + options.sampling.negatives);
    auto total = DistributedTensor<double>(loss_distribution);
    total.modify([&](Tensor<double>& out) { out.fill(epoch_loss); });
    result.loss =
        total.full_tensor().elements() > 0 ? total.full_tensor()[0] / static_cast<double>(epoch.pair_count()) : 0;
  }
  const double trained = words * static_cast<double>(options.epochs);
  result.words_per_second = trained / (Progress::steady_seconds() - start);
  grid.root().all_reduce(std::span<const Index>(&bytes, 1), std::span<Index>(&result.bytes, 1));
  result.bytes_per_word = static_cast<double>(result.bytes) / trained;
  result.vectors = input.weight().value().to_root();
  return result;
}

}  // namespace word_vectors
