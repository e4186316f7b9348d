// Cross-entropy over classes that ranks hold in shards, forward and backward, against the usual way with the same
// kernels: an all-reduction each for the greatest logit, the target's, and the sum of exponentials.
//   mpiexec -n 2 bench_cross_entropy [repetitions]
#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <vector>

#include <tartan/tartan.hpp>

#include "kernels/class_statistics.hpp"
#include "timing.hpp"

namespace {

using namespace tartan;

/// The usual way, on this rank's shard of the logits.
class ThreeReductions {
 public:
  ThreeReductions(const Tensor<float>& logits, const std::vector<Index>& targets, Index first_class, Index classes,
                  MPI_Comm comm)
      : logits_{logits},
        targets_{targets},
        first_{first_class},
        loss_{-100, 0, classes},
        comm_{comm},
        rows_{logits.shape()[0]},
        shard_{logits.data(), rows_, logits.shape()[1], logits.shape()[1]},
        statistics_(static_cast<std::size_t>(3 * rows_)),
        greatest_(static_cast<std::size_t>(rows_)),
        sums_(greatest_),
        hits_(greatest_),
        gradient_(logits.shape()) {}

  double operator()() {
    using namespace kernels;
    const float* const no_weights = nullptr;
    class_statistics(Cpu{}, shard_, no_weights, 3, statistics_.data());
    pick_targets(Cpu{}, shard_, targets_.data(), first_, loss_.ignored, no_weights, 3, statistics_.data());
    for (std::size_t r = 0; r < greatest_.size(); ++r) greatest_[r] = statistics_[3 * r];
    reduce(greatest_, MPI_MAX);
    for (std::size_t r = 0; r < greatest_.size(); ++r) {
      hits_[r] = statistics_[3 * r + 2];
      sums_[r] = statistics_[3 * r + 1] * std::exp(statistics_[3 * r] - greatest_[r]);
    }
    reduce(hits_, MPI_SUM);
    reduce(sums_, MPI_SUM);
    double loss = 0;
    for (std::size_t r = 0; r < greatest_.size(); ++r) {
      loss += greatest_[r] + std::log(sums_[r]) - hits_[r];
      statistics_[3 * r] = greatest_[r];
      statistics_[3 * r + 1] = sums_[r];
    }
    const float one = 1;
    const auto count = static_cast<double>(rows_);
    class_losses_backward(Cpu{}, shard_, targets_.data(), first_, no_weights, statistics_.data(), 3, loss_,
                          Upstream<float>{&one, true, &count},
                          Matrix<float>{gradient_.data(), rows_, shard_.columns, shard_.columns});
    return loss / count;
  }

 private:
  void reduce(std::vector<double>& values, MPI_Op operation) {
    MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_DOUBLE, operation, comm_);
  }

  const Tensor<float>& logits_;
  const std::vector<Index>& targets_;
  Index first_;
  kernels::ClassLoss loss_;
  MPI_Comm comm_;
  Index rows_;
  kernels::Matrix<const float> shard_;
  std::vector<double> statistics_, greatest_, sums_, hits_;
  Tensor<float> gradient_;
};

void compare(const CartesianTopology& line, Index rows, Index classes, int repetitions, bool print) {
  const Distribution d(line, {rows, classes}, {Shard{1}});
  const auto logits =
      Variable<float>::parameter("logits", DistributedTensor<float>::from_function(d, [&](std::span<const Index> i) {
                                   return static_cast<float>((i[0] * 7919 + i[1] * 104729) % 1000) / 100;
                                 }));
  const auto target = [&](Index row) { return row * 31 % classes; };
  const auto targets = DistributedTensor<Index>::from_function(target_distribution(d),
                                                               [&](std::span<const Index> i) { return target(i[0]); });
  std::vector<Index> plain;
  for (Index r = 0; r < rows; ++r) plain.push_back(target(r));

  double losses[2] = {0, 0};
  const auto one_message = [&](bool reproducible) {
    GradientTape tape;
    const auto loss = functional::cross_entropy(logits, targets, {.reproducible = reproducible});
    tape.backward(loss);
    losses[0] = loss.value().local()[0];
    auto parameter = logits;
    parameter.clear_gradient();
  };
  const auto comm = line.axis(0).native();
  ThreeReductions usual(logits.value().local(), plain, logits.value().box()[1].begin, classes, comm);
  const double ours = benchmarks::median([&] { one_message(false); }, comm, repetitions, 3);
  const double gathered = benchmarks::median([&] { one_message(true); }, comm, repetitions, 3);
  const double theirs = benchmarks::median([&] { losses[1] = usual(); }, comm, repetitions, 3);
  if (!print) return;
  fmt::print("| {} | {} | {:.0f} | {:.2f} | {:.2f} | {:.1e} |\n", rows, classes, ours, ours / theirs, gathered / theirs,
             std::abs(losses[0] - losses[1]) / losses[1]);
}

}  // namespace

int main(int argc, char** argv) {
  return tartan::run(argc, argv, [&](const Partition& world) {
    const int repetitions = argc > 1 ? std::atoi(argv[1]) : 50;
    const bool first = world.rank() == 0;
    if (first) {
      fmt::print("{} ranks, medians of {}; ratios below 1 are ours\n", world.size(), repetitions);
      fmt::print(
          "| rows | classes | one message, us | / three reductions | in the order of ranks | losses differ by |\n");
      fmt::print("|---|---|---|---|---|---|\n");
    }
    const auto line = world.cartesian(Shape{world.size()});
    for (const Index rows : {16, 256, 2048}) {
      for (const Index classes : {1024, 32'000}) compare(line, rows, classes, repetitions, first);
    }
  });
}
