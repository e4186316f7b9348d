#include "training.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include <tartan/tartan.hpp>

#include "area_under_curve.hpp"
#include "clicks.hpp"
#include "model.hpp"

namespace click_prediction {
namespace {

using tartan::DistributedTensor;
using tartan::Shape;
using tartan::Tensor;

/// Samples first, ..., first + count - 1: each rank makes those of its coordinate on the data axis.
struct Batch {
  DistributedTensor<std::int32_t> ids;  ///< (count, features)
  DistributedTensor<float> values;      ///< (count, numbers)
  DistributedTensor<float> labels;      ///< (count, 1)

  Batch(const tartan::CartesianTopology& grid, const Clicks& clicks, Index first, Index count) {
    const tartan::Distribution split(grid, Shape{count, 1},
                                     {tartan::Shard{0}, tartan::Replicate{}, tartan::Replicate{}});
    const auto mine = split.box(grid.rank())[0];
    Tensor<std::int32_t> my_ids(Shape{mine.extent(), Index{features}});
    Tensor<float> my_values(Shape{mine.extent(), Index{numbers}});
    Tensor<float> my_labels(Shape{mine.extent(), 1});
    for (Index i = 0; i < mine.extent(); ++i) {
      const auto sample = clicks.sample(first + mine.begin + i);
      std::ranges::copy(sample.ids, my_ids.data() + i * Index{features});
      std::ranges::copy(sample.values, my_values.data() + i * Index{numbers});
      my_labels[i] = sample.label;
    }
    const auto placed = [&]<class T>(const Tensor<T>& local, Index columns) {
      return DistributedTensor<T>::from_local(split.with_shape({count, columns}), local, tartan::LocalCheck::none);
    };
    ids = placed(my_ids, features);
    values = placed(my_values, numbers);
    labels = placed(my_labels, 1);
  }
};

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Result train_and_test(const tartan::CartesianTopology& grid, const Options& options, const Progress& progress) {
  const Clicks clicks(options.seed);
  const ClickModel model(grid, options);
  // The accumulator starts above zero, so that the size of the first steps does not hang on rounding.
  tartan::Adagrad<float> optimizer(model.parameters(),
                                   {.learning_rate = options.learning_rate, .initial_accumulator = 1e-4});

  const double start = seconds();
  for (Index step = 0; step < options.steps; ++step) {
    const Batch batch(grid, clicks, step * options.batch, options.batch);
    optimizer.set_learning_rate(options.learning_rate *
                                (1 - static_cast<double>(step) / static_cast<double>(options.steps)));
    tartan::GradientTape tape;
    const auto loss = binary_cross_entropy_with_logits(model(batch.ids, batch.values), batch.labels);
    tape.backward(loss);
    optimizer.step();
    optimizer.clear_gradients();

    const Index tenths = 10 * (step + 1) / options.steps;
    if (tenths == 10 * step / options.steps) continue;
    const double value = redistribute(loss, tartan::Replicate{}).value().local_on_host()[0];
    if (!std::isfinite(value)) {
      throw tartan::Error("the loss is not finite in step " + std::to_string(step) +
                          ": a smaller --learning-rate helps");
    }
    progress((step + 1) * options.batch, value);
  }
  const Index trained = options.steps * options.batch;
  const double elapsed = seconds() - start;

  const Batch test(grid, clicks, trained, options.test_samples);
  const auto logits = model(test.ids, test.values).value().full_tensor();
  std::vector<float> scores, labels;
  for (Index i = 0; i < options.test_samples; ++i) {
    const auto sample = clicks.sample(trained + i);
    scores.push_back(static_cast<float>(sample.score));
    labels.push_back(sample.label);
  }
  return {.area_under_curve = area_under_curve(logits.span(), labels),
          .ceiling = area_under_curve(scores, labels),
          .samples_per_second = static_cast<double>(trained) / elapsed};
}

}  // namespace click_prediction
