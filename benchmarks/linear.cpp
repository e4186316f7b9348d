// A linear layer that is split over the ranks, against the bare matrix products that it is made of:
//   mpiexec -n 4 bench_linear [rows] [in] [out] [repetitions]
// Bare: Eigen's products of this rank's sizes, compiled for this machine. Overlap: whether the reduction of x's
// gradient travels beside the product for the weight's.
#include <fmt/format.h>
#include <mpi.h>

#include <Eigen/Core>
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <vector>

#include <tartan/tartan.hpp>

namespace {

using namespace tartan;
using Dense = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Sizes {
  Index rows, in, out;
  int repetitions;
};

/// The median over repetitions of the slowest rank's milliseconds, of each of the calls in turn.
std::vector<double> medians(const std::vector<std::function<void()>>& calls, MPI_Comm comm, int repetitions) {
  std::vector<double> result;
  std::vector<std::vector<double>> times(calls.size());
  for (int i = 0; i < repetitions + 1; ++i) {
    for (std::size_t c = 0; c < calls.size(); ++c) {
      MPI_Barrier(comm);
      const double start = MPI_Wtime();
      calls[c]();
      if (i > 0) times[c].push_back(1e3 * (MPI_Wtime() - start));
    }
  }
  for (auto& of_call : times) {
    MPI_Allreduce(MPI_IN_PLACE, of_call.data(), static_cast<int>(of_call.size()), MPI_DOUBLE, MPI_MAX, comm);
    std::ranges::nth_element(of_call, of_call.begin() + std::ssize(of_call) / 2);
    result.push_back(of_call[of_call.size() / 2]);
  }
  return result;
}

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
      const auto times = medians({bare, step(grid, s, dim, true), step(grid, s, dim, false)}, comm, s.repetitions);
      if (world.rank() == 0) {
        fmt::print("{:8} {:8.2f} {:10.2f} {:8.2f} {:10.2f} {:8.2f}\n", dim == 1 ? "out" : "in", times[0], times[1],
                   times[1] / times[0], times[2], times[2] / times[0]);
      }
    }
  });
}
