// The communication budget of embeddings (docs/design.md): calls and bytes, forward and backward, as CommRecorder
// counts them and as MPI is asked to carry them.

#include "nn/traffic.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 13;
constexpr Index D = 9;
constexpr Index ids_count = 22;

/// What a layer's call and its backward should send.
struct Budget {
  Plan forward;
  Plan backward;

  Budget(const Shape& grid, Placement storage, Placement output, bool ids_sharded) {
    const Index data = grid[0];
    const Index table = V * D * (data - 1);
    if (data > 1) {
      if (storage.is_root()) forward.push_back({Collective::broadcast, table});
      if (storage.is_shard()) forward.push_back({Collective::all_gather, table});
      if (ids_sharded) {
        backward.push_back(storage.is_root()        ? Planned{Collective::reduce, table}
                           : storage.is_replicate() ? Planned{Collective::all_reduce, 2 * table}
                                                    : Planned{Collective::reduce_scatter, table});
      }
    }
    // The output, once for every data coordinate that has rows of its own; replicated ids have copies of it.
    const Index result = ids_count * D * (grid[1] - 1) * (ids_sharded ? 1 : data);
    if (grid[1] > 1 && output.is_replicate()) forward.push_back({Collective::all_reduce, 2 * result});
    if (grid[1] > 1 && output.is_shard()) {
      forward.push_back({Collective::reduce_scatter, result});
      backward.push_back({Collective::all_gather, result});
    }
  }
};

TEST_CASE("an embedding sends what the budget says, on every grid, from every storage to every output") {
  const auto list = some_ids(ids_count, V);
  const auto upstream = some_upstream<float>(ids_count * D);
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      for (const auto& output : outputs(1)) {
        for (const bool sharded : {true, false}) {
          // A row-sparse gradient is reduced row by row: see embedding_by_rows.cpp for what that sends.
          for (const bool sparse : {true, false}) {
            if (sparse && grid[0] > 1 && sharded) continue;
            const DistributedEmbedding<float> layer(topology, {.num_embeddings = V,
                                                               .embedding_dim = D,
                                                               .sparse = sparse,
                                                               .storage = storage,
                                                               .output = output,
                                                               .exchange = Exchange::table});
            auto placed = layer.input_distribution({ids_count});
            if (!sharded) placed = placed.with(0, Replicate{});
            const auto ids = placed_ids<Index>(placed, list);
            layer(ids);  // the ids are agreed on now
            auto weight = layer.weight();
            weight.modify([](Tensor<float>&) {});  // and the table has to move again
            INFO("storage " << storage.to_string() << ", output " << output.to_string() << ", ids "
                            << placed.to_string());
            const Budget budget(grid, storage, output, sharded);
            GradientTape tape;
            Variable<float> loss;
            const auto forward = sent_by([&] { loss = loss_of(layer(ids), upstream); });
            const auto backward = sent_by([&] { tape.backward(loss); });
            check_plan("forward", forward, budget.forward);
            check_plan("backward", backward, budget.backward);
          }
        }
      }
    }
  }
}

TEST_CASE("tables of columns only send nothing at all, whatever they hold") {
  const auto topology = Partition(world()).cartesian({1, 1, world().size()});
  const DistributedEmbedding<float> layer(topology, {.num_embeddings = 5, .embedding_dim = 3});
  const auto nothing = sent_by([&] {
    for (const Shape& shape : {Shape{}, Shape{4}, Shape{2, 3}, Shape{0}}) {
      GradientTape tape;
      tape.backward(sum(layer(placed_ids<Index>(layer.input_distribution(shape), some_ids(shape.elements(), 5)))));
    }
  });
  check_plan("forward", nothing, {});
}

TEST_CASE("two lookups of one table reduce its gradient once") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n, 1, 1});
  for (const auto& storage : storages()) {
    const DistributedEmbedding<float> layer(topology, {.num_embeddings = V,
                                                       .embedding_dim = D,
                                                       .storage = storage,
                                                       .output = Partial{},
                                                       .exchange = Exchange::table});
    const auto weight = layer.weight();
    const auto applied = weight.distribution().with(0, Replicate{});
    const auto ids = placed_ids<Index>(layer.input_distribution({ids_count}), some_ids(ids_count, V));
    layer(ids);
    GradientTape tape;
    const auto table = redistribute(weight, applied);
    const auto loss = sum(functional::embedding(ids, table)) + sum(functional::embedding(ids, table)) + sum(layer(ids));
    const auto backward = sent_by([&] { tape.backward(loss); });
    check_plan("backward", backward, Budget({n, 1, 1}, storage, Partial{}, true).backward);
  }
}

}  // namespace
}  // namespace tartan
