// Lookups of replicated ids in a table that ranks hold in shards, against the bare MPI calls of the usual way:
//   mpiexec -n 2 bench_tensor_parallel [repetitions]
// Rows: what is not owned is zero, and an all-reduce. Columns: an all-gather and an interleaving copy.
#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#include <tartan/tartan.hpp>

#include "timing.hpp"

namespace {

using namespace tartan;

constexpr Index V = 32000;

/// The usual lookup by rows: this rank's rows or zeros, summed.
void by_rows(const Tensor<Index>& ids, const Tensor<float>& shard, Index first, MPI_Comm comm, Tensor<float>& out) {
  const Index columns = shard.shape()[1];
  for (Index i = 0; i < ids.elements(); ++i) {
    const Index row = ids[i] - first;
    float* const to = out.data() + i * columns;
    if (row >= 0 && row < shard.shape()[0]) {
      std::copy_n(shard.data() + row * columns, columns, to);
    } else {
      std::fill_n(to, columns, 0.0F);
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, out.data(), static_cast<int>(out.elements()), MPI_FLOAT, MPI_SUM, comm);
}

/// The usual lookup by columns: this rank's columns, gathered and interleaved.
void by_columns(const Tensor<Index>& ids, const Tensor<float>& shard, MPI_Comm comm, int ranks, Tensor<float>& mine,
                Tensor<float>& all, Tensor<float>& out) {
  const Index columns = shard.shape()[1];
  const Index count = ids.elements();
  for (Index i = 0; i < count; ++i) {
    std::copy_n(shard.data() + ids[i] * columns, columns, mine.data() + i * columns);
  }
  const auto part = static_cast<int>(count * columns);
  MPI_Allgather(mine.data(), part, MPI_FLOAT, all.data(), part, MPI_FLOAT, comm);
  for (Index r = 0; r < ranks; ++r) {
    for (Index i = 0; i < count; ++i) {
      std::copy_n(all.data() + (r * count + i) * columns, columns, out.data() + (i * ranks + r) * columns);
    }
  }
}

void run_case(const Communicator& group, int sharding_dim, Index count, Index columns, int repetitions) {
  const MPI_Comm comm = group.native();
  const int ranks = group.size();
  const auto block = Decomposition::balanced(sharding_dim == 0 ? V : columns, ranks).block(group.rank());
  const Tensor<float> shard(sharding_dim == 0 ? Shape{block.extent(), columns} : Shape{V, block.extent()}, 1.0F);
  Tensor<Index> ids(Shape{count});
  for (Index i = 0; i < count; ++i) ids[i] = (i * 7919) % V;

  Tensor<float> out(Shape{count, columns});
  Tensor<float> mine(Shape{count, shard.shape()[1]});
  Tensor<float> all(Shape{ranks, count, shard.shape()[1]});
  const TensorParallelOptions options{.tp_group = group, .sharding_dim = sharding_dim, .num_embeddings = V};
  const TensorParallelEmbedding<float> plan(shard, options);
  const double bare = benchmarks::median(
      [&] {
        sharding_dim == 0 ? by_rows(ids, shard, block.begin, comm, out)
                          : by_columns(ids, shard, comm, ranks, mine, all, out);
      },
      comm, repetitions, 5);
  const double planned = benchmarks::median([&] { plan(ids); }, comm, repetitions, 5);
  const double free = benchmarks::median([&] { functional::embedding(ids, shard, options); }, comm, repetitions, 5);
  if (group.rank() != 0) return;
  fmt::print("{:8} {:6} {:6} {:10.1f} {:10.1f} {:10.1f} {:10.1f}\n", sharding_dim == 0 ? "rows" : "columns", count,
             columns, bare, planned, free, free - planned);
}

}  // namespace

int main(int argc, char** argv) {
  return tartan::run(argc, argv, [&](const Partition& world) {
    const int repetitions = argc > 1 ? std::atoi(argv[1]) : 500;
    if (world.rank() == 0) {
      fmt::print("{}\n{} ranks, a table of {} rows; microseconds of the slowest rank, median of {}\n",
                 build_info().to_string(), world.size(), V, repetitions);
      fmt::print("{:8} {:>6} {:>6} {:>10} {:>10} {:>10} {:>10}\n", "cut", "ids", "D", "bare MPI", "planned", "free",
                 "free-plan");
    }
    for (const int sharding_dim : {0, 1}) {
      for (const Index columns : {64, 1024}) {
        for (const Index count : {1, 64, 4096}) run_case(world.root(), sharding_dim, count, columns, repetitions);
      }
    }
  });
}
