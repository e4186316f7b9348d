// Memory of a head of very many classes, forward and backward: the peak beside weights and gradients, for logits that
// are whole and for logits in tiles.
//   mpiexec -n 1 bench_linear_cross_entropy [classes [width [rows]]]
#include <fmt/format.h>
#include <mpi.h>
#include <sys/resource.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include <tartan/tartan.hpp>

namespace {

using namespace tartan;

constexpr double mega = 1024.0 * 1024.0;

/// Forgets the greatest resident size so far, and gives the present one, in bytes.
double reset_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
  std::ifstream status("/proc/self/status");
  std::string word;
  double kilobytes = 0;
  while (status >> word) {
    if (word == "VmRSS:") status >> kilobytes;
  }
  return kilobytes * 1024;
}

double peak() {
  std::ifstream status("/proc/self/status");
  std::string word;
  double kilobytes = 0;
  while (status >> word) {
    if (word == "VmHWM:") status >> kilobytes;
  }
  return kilobytes * 1024;
}

}  // namespace

int main(int argc, char** argv) {
  return tartan::run(argc, argv, [&](const Partition& world) {
    const auto argument = [&](int i, Index otherwise) { return argc > i ? std::atoll(argv[i]) : otherwise; };
    const Index classes = argument(1, 1'000'000), width = argument(2, 64), rows = argument(3, 512);
    const auto line = world.cartesian(Shape{world.size()});
    const Distribution d(line, {rows, width}, {Replicate{}});
    const auto small = [](std::span<const Index> i) { return static_cast<float>((i[0] * 31 + i[1] * 17) % 101) / 500; };
    const auto x = Variable<float>::parameter("x", DistributedTensor<float>::from_function(d, small));
    const auto weight = Variable<float>::parameter(
        "weight", DistributedTensor<float>::from_function({line, {classes, width}, {Shard{0}}}, small));
    const auto targets = DistributedTensor<Index>::from_function(
        {line, {rows}, {Replicate{}}}, [&](std::span<const Index> i) { return i[0] * 7919 % classes; });
    const double table = static_cast<double>(weight.value().local().elements()) * sizeof(float);
    const double logits =
        static_cast<double>(rows) * static_cast<double>(weight.value().local().shape()[0]) * sizeof(float);
    if (world.rank() == 0) {
      fmt::print("{} ranks; of each: weight {:.0f} MiB, logits {:.0f} MiB\n", world.size(), table / mega,
                 logits / mega);
    }
    double losses[2] = {0, 0};
    for (const bool tiled : {true, false}) {
      const double before = reset_peak();
      const double start = MPI_Wtime();
      {
        GradientTape tape;
        const auto loss = tiled ? functional::linear_cross_entropy(x, weight, {}, targets)
                                : functional::cross_entropy(functional::linear(x, weight), targets);
        tape.backward(loss);
        losses[tiled ? 0 : 1] = loss.value().local()[0];
      }
      const double seconds = MPI_Wtime() - start;
      const double beside = peak() - before - table;  // the gradient of the weight is kept
      for (auto parameter : {x, weight}) parameter.clear_gradient();
      if (world.rank() == 0) {
        fmt::print("{:8} {:7.1f} MiB beside weight and gradient, {:.3f} of the logits; {:.2f} s, loss {:.6f}\n",
                   tiled ? "in tiles" : "whole", beside / mega, beside / logits, seconds, losses[tiled ? 0 : 1]);
      }
    }
  });
}
