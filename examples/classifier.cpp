// A first training: points in classes, a perceptron of two layers, Adam. The marked parts are docs/training.md:
// scripts/check compares.

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <string>

#include <tartan/tartan.hpp>

#include "support/command_line.hpp"

namespace {

using namespace tartan;

// docs: data
constexpr Index features = 6, classes = 5;

/// Row i of the data, as a file has it: any rank can read any row. Each class is three clouds, so that no plane parts
/// it from the others.
struct Points {
  RandomStream clouds{1, "clouds"}, noise{1, "noise"}, rows{1, "rows"};

  Index cloud(Index row) const { return rows.below(row, 3 * classes); }
  Index label(Index row) const { return cloud(row) % classes; }
  double feature(Index row, Index f) const {
    return clouds.normal(cloud(row) * features + f) + 0.4 * noise.normal(row * features + f);
  }
};
// docs: model
class Classifier : public Module<float> {
 public:
  explicit Classifier(const CartesianTopology& grid)  // data × model
      : up_(grid, {.name = "up", .in_features = features, .out_features = 32, .axes = LinearAxes{.data = 0, .out = 1}}),
        down_(grid, {.name = "down",
                     .in_features = 32,
                     .out_features = classes,
                     .axes = LinearAxes{.data = 0, .in = 1},
                     .output = Shard{1}}) {
    add_parameters_of(up_);
    add_parameters_of(down_);
  }

  /// x (B, features): Shard(0) × Replicate; logits (B, classes): Shard(0) × Shard(1).
  Variable<float> operator()(const Variable<float>& x) const { return down_(relu(up_(x))); }

 private:
  DistributedLinear<float> up_, down_;
};
// docs: batch
struct Batch {
  DistributedTensor<float> x;        ///< (count, features): Shard(0) × Replicate
  DistributedTensor<Index> targets;  ///< (count): Shard(0) × Replicate
};

/// Rows first, ..., first + count - 1, of which each rank reads those of its coordinate on the data axis.
Batch read(const Points& points, const CartesianTopology& grid, Index first, Index count) {
  const Distribution rows(grid, {count}, {Shard{0}, Replicate{}});  // the GLOBAL shape
  const Distribution matrix = rows.with_shape({count, features});
  const auto mine = rows.box(grid.rank())[0];  // may be empty: that rank takes part all the same
  Tensor<Index> targets(rows.local_shape(grid.rank()));
  Tensor<float> x(matrix.local_shape(grid.rank()));
  for (Index i = 0; i < mine.extent(); ++i) {
    const Index row = first + mine.begin + i;
    targets[i] = points.label(row);
    for (Index f = 0; f < features; ++f) x[i * features + f] = static_cast<float>(points.feature(row, f));
  }
  return {DistributedTensor<float>::from_local(matrix, x), DistributedTensor<Index>::from_local(rows, targets)};
}
// docs: accuracy
/// Collective. The part of the rows whose greatest logit is that of the target, on every rank.
double accuracy(const Variable<float>& logits, const DistributedTensor<Index>& targets) {
  const auto found = argmax(logits.value()).local_on_host();  // (B), placed as the targets are
  const auto wanted = targets.local_on_host();
  Tensor<float> hits(wanted.shape());
  for (Index i = 0; i < hits.elements(); ++i) hits[i] = found[i] == wanted[i] ? 1 : 0;
  const auto all = DistributedTensor<float>::from_local(targets.distribution(), hits);
  return item(sum(Variable<float>(all))) / static_cast<double>(targets.shape().elements());
}
// docs: training
void train_and_test(const Partition& world, const CartesianTopology& grid) {
  constexpr Index rows = 1997, batch = 64, test_rows = 1001;  // the last batch has 13
  const Points points;
  const Classifier classifier(grid);
  const DistributedCrossEntropy<float> criterion;
  Adam<float> adam(classifier.parameters(), {.learning_rate = 0.01});

  for (int epoch = 1; epoch <= 10; ++epoch) {
    double total = 0;
    for (Index first = 0; first < rows; first += batch) {
      const auto [x, targets] = read(points, grid, first, std::min(batch, rows - first));
      GradientTape tape;
      const auto loss = criterion(classifier(x), targets);  // the mean over the global batch
      tape.backward(loss);
      adam.step();
      adam.clear_gradients();
      // Every rank calls item, one prints.
      total += item(loss) * static_cast<double>(targets.shape().elements());
    }
    if (world.rank() == 0) std::cout << fmt::format("epoch {:2}  loss {:.4f}\n", epoch, total / rows);
  }

  const auto [x, targets] = read(points, grid, rows, test_rows);  // rows that were not trained on
  const auto logits = classifier(x);                              // without a tape nothing is recorded
  const double right = accuracy(logits, targets);
  const double loss = item(criterion(logits, targets));
  if (world.rank() == 0) std::cout << fmt::format("accuracy {:.4f}, loss {:.4f}", right, loss) << std::endl;
}
// docs: end

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, [&](const Partition& world) {
    cxxopts::Options usage("classifier",
                           "Trains a perceptron of two layers over a grid of MPI ranks.\n"
                           "Launch with: mpiexec --oversubscribe -n 4 classifier --grid 2x2\n");
    usage.add_options()("grid", "Ranks along the data and model axes (default: 1xn for n ranks)",
                        cxxopts::value<std::string>(), "DxM")("h,help", "Show this text");
    const auto line = command_line::parse(usage, argc, argv);
    if (line.count("help") == 0) {
      train_and_test(world, world.cartesian(command_line::grid_for(command_line::grid(line, 2), world.size(), 2)));
    } else if (world.rank() == 0) {
      std::cout << usage.help();
    }
  });
}
