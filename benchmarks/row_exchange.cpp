// A step (lookup, backward, sparse Adagrad) of a large table whose rows, not the table, move along the data axis:
//   mpiexec -n 2 bench_row_exchange [rows [columns [ids [steps]]]]        default 10000000 16 4096 20
// Prints, for each storage of the table, what all ranks send in a step beside the bytes of the batch's rows
// (ids · columns · 4), beside the whole table's, the milliseconds of a step, and the most memory that ranks off
// coordinate 0 hold at once beyond the table, beside the batch's rows.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <tartan/tartan.hpp>

namespace {

using namespace tartan;

/// A field of /proc/self/status in bytes; 0 where there is none.
double memory(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kilobytes = 0;
    if (word == key && status >> kilobytes) return 1024 * kilobytes;
  }
  return 0;
}

double maximum(const Communicator& group, double mine) {
  double result = 0;
  group.all_reduce(std::span<const double>(&mine, 1), std::span<double>(&result, 1), Reduction::max);
  return result;
}

struct Sizes {
  Index rows = 10'000'000;
  Index columns = 16;
  Index ids = 4096;
  int steps = 20;
};

void measure(const CartesianTopology& topology, Placement storage, const Sizes& sizes) {
  const DistributedEmbedding<float> layer(topology, {.name = "table",
                                                     .num_embeddings = sizes.rows,
                                                     .embedding_dim = sizes.columns,
                                                     .sparse = true,
                                                     .initial = initializers::constant(1),
                                                     .storage = storage});
  Adagrad<float> adagrad(layer.parameters(), {.learning_rate = 0.1});
  const auto& root = topology.root();
  const bool cleared = static_cast<bool>(std::ofstream("/proc/self/clear_refs") << "5" << std::flush);
  const double before = memory("VmRSS:");
  std::vector<double> times;
  Index bytes = 0;
  for (int step = 0; step < sizes.steps; ++step) {
    const RandomStream stream(1, "ids " + std::to_string(step));
    const auto ids = DistributedTensor<Index>::from_function(layer.input_distribution({sizes.ids}),
                                                             [&](auto i) { return stream.below(i[0], sizes.rows); });
    root.barrier();
    const auto start = std::chrono::steady_clock::now();
    const CommRecorder recorder;
    GradientTape tape;
    const auto y = layer(ids);
    tape.backward(sum(y * y));
    adagrad.step();
    adagrad.clear_gradients();
    const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
    times.push_back(maximum(root, passed.count()));
    const Index mine = recorder.bytes();
    root.all_reduce(std::span<const Index>(&mine, 1), std::span<Index>(&bytes, 1));
  }
  std::ranges::nth_element(times, times.begin() + std::ssize(times) / 2);
  const double grown = maximum(root, cleared && topology.rank() > 0 ? memory("VmHWM:") - before : 0);
  if (topology.rank() != 0) return;
  const double batch = 4.0 * static_cast<double>(sizes.ids * sizes.columns);
  const double table = 4.0 * static_cast<double>(sizes.rows) * static_cast<double>(sizes.columns);
  fmt::print("{:<10} {:>12} {:>10.2f} {:>14.2e} {:>10.3f} {:>14.2f}\n", storage.to_string(), bytes,
             static_cast<double>(bytes) / batch, static_cast<double>(bytes) / table, times[times.size() / 2],
             grown / batch);
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, [&](const Partition& world) {
    Sizes sizes;
    if (argc > 1) sizes.rows = std::atoll(argv[1]);
    if (argc > 2) sizes.columns = std::atoll(argv[2]);
    if (argc > 3) sizes.ids = std::atoll(argv[3]);
    if (argc > 4) sizes.steps = std::atoi(argv[4]);
    const auto topology = world.cartesian({world.size(), 1, 1});
    if (world.rank() == 0) {
      fmt::print("{} x {} floats, {} ids a step, {} data-parallel ranks\n", sizes.rows, sizes.columns, sizes.ids,
                 world.size());
      fmt::print("{:<10} {:>12} {:>10} {:>14} {:>10} {:>14}\n", "storage", "bytes/step", "/ batch", "/ table",
                 "ms/step", "memory / batch");
    }
    for (const auto& storage : {Placement{Root{}}, Placement{Shard{0}}, Placement{Replicate{}}}) {
      measure(topology, storage, sizes);
    }
  });
}
