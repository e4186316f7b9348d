// A linear layer that is split over the ranks, against the bare matrix products that it is made of:
//   mpiexec -n 4 bench_linear [rows] [in] [out] [repetitions]
// Bare: Eigen's products of this rank's sizes, compiled for this machine. Overlap: whether the reduction of x's
// gradient travels beside the product for the weight's.
#include <fmt/format.h>
#include <mpi.h>

#include <Eigen/Core>
#include <array>
#include <cstdlib>
#include <functional>
#include <vector>

#include <tartan/tartan.hpp>

#include "timing.hpp"

namespace {

using namespace tartan;
using Dense = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Sizes {
  Index rows, in, out;
  int repetitions;
};

/// What a training step of a layer takes: forward and backward.
std::function<void()> step(const CartesianTopology& grid, const Sizes& s, int dim, bool overlap) {
  const DistributedLinear<float> layer(
      grid, {.in_features = s.in, .out_features = s.out, .bias = false, .dim = dim, .overlap = overlap});
  const Shape shape{s.rows, s.in};
  const auto d = dim == 0 ? Distribution(grid, shape, {Shard{1}}) : layer.input_distribution(shape);
  const auto x = Variable<float>::parameter("x", DistributedTensor<float>::constant(d, 0.5F));
  return [=] {
    auto input = x;
    auto weight = layer.weight();
    input.clear_gradient();
    weight.clear_gradient();
    GradientTape tape;
    tape.backward(sum(layer(1.0F * x)));
  };
}

}  // namespace

int main(int argc, char** argv) {
  return tartan::run(argc, argv, [&](const Partition& world) {
    const auto given = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
    const Sizes s{given(1, 512), given(2, 1024), given(3, 1024), given(4, 15)};
    const auto grid = world.cartesian({world.size()});
    const auto comm = world.root().native();
    const auto part = [&](Index extent) { return Decomposition::balanced(extent, world.size()).block(0).extent(); };
    if (world.rank() == 0) {
      fmt::print("{}\n{} ranks, ({}, {}) to {} features, float; milliseconds of the slowest rank, median of {}\n",
                 build_info().to_string(), world.size(), s.rows, s.in, s.out, s.repetitions);
      fmt::print("{:8} {:>8} {:>10} {:>8} {:>10} {:>8}\n", "split", "bare", "overlap", "ratio", "without", "ratio");
    }
    for (const int dim : {1, 0}) {
      const Index in = dim == 0 ? part(s.in) : s.in;
      const Index out = dim == 1 ? part(s.out) : s.out;
      const Dense x = Dense::Constant(s.rows, in, 0.5F);
      const Dense w = Dense::Constant(out, in, 0.25F);
      Dense y(s.rows, out);
      Dense to_x(s.rows, in);
      Dense to_w(out, in);
      const auto bare = [&] {
        y.noalias() = x * w.transpose();
        to_x.noalias() = y * w;
        to_w.noalias() = y.transpose() * x;
      };
      // There and back again: what runs first finds other caches than what runs last.
      const auto with = step(grid, s, dim, true), without = step(grid, s, dim, false);
      const auto all = benchmarks::medians({bare, with, without, without, with, bare}, comm, s.repetitions, 1);
      const std::array times{(all[0] + all[5]) / 2, (all[1] + all[4]) / 2, (all[2] + all[3]) / 2};
      if (world.rank() == 0) {
        fmt::print("{:8} {:8.2f} {:10.2f} {:8.2f} {:10.2f} {:8.2f}\n", dim == 1 ? "out" : "in", 1e-3 * times[0],
                   1e-3 * times[1], times[1] / times[0], 1e-3 * times[2], times[2] / times[0]);
      }
    }
  });
}
