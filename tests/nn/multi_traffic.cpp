// What many tables send: as one table would, in as many messages, forward and backward.

#include "nn/multi.hpp"
#include "nn/traffic.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index ids_count = 22;
const MultiEmbeddingLayerOptions tables{.num_embeddings = {13, 5, 3, 1}, .embedding_dim = {9, 1, 4, 2}};
constexpr Index elements = 13 * 9 + 5 * 1 + 3 * 4 + 1 * 2;
constexpr Index columns = 9 + 1 + 4 + 2;

TEST_CASE("many small tables send one message a phase, on every grid, from every storage to every output") {
  const auto list = many_ids(ids_count, tables.num_embeddings);
  const auto upstream = some_upstream<float>(ids_count * columns);
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      for (const auto& output : outputs(1)) {
        auto options = tables;
        options.storage = storage;
        options.output = output;
        options.exchange = Exchange::table;
        const DistributedMultiEmbedding<float> layer(topology, options);
        const auto ids = placed_ids<Index>(layer.input_distribution({ids_count, 4}), list);
        layer(ids);  // the ids are agreed on now

        const Index data = grid[0];
        const Index moved = elements * (data - 1);
        Plan forward;
        Plan backward;
        if (data > 1 && storage.is_root()) forward.push_back({Collective::broadcast, moved});
        if (data > 1 && storage.is_shard()) forward.push_back({Collective::all_gather, moved});
        if (data > 1) {
          backward.push_back(storage.is_root()        ? Planned{Collective::reduce, moved}
                             : storage.is_replicate() ? Planned{Collective::all_reduce, 2 * moved}
                                                      : Planned{Collective::reduce_scatter, moved});
        }
        const Index result = ids_count * columns * (grid[1] - 1);
        Plan again;  // with weights that have not changed
        if (grid[1] > 1 && output.is_replicate()) again.push_back({Collective::all_reduce, 2 * result});
        if (grid[1] > 1 && output.is_shard()) {
          again.push_back({Collective::reduce_scatter, result});
          backward.push_back({Collective::all_gather, result});
        }
        forward.insert(forward.end(), again.begin(), again.end());

        INFO("storage " << storage.to_string() << ", output " << output.to_string() << " on "
                        << topology.grid().shape().to_string());
        for (auto weight : layer.weights()) weight.modify([](Tensor<float>&) {});
        GradientTape tape;
        Variable<float> loss;
        const auto sent = sent_by([&] { loss = loss_of(layer(ids), upstream); });
        check_plan("forward", sent, forward);
        const auto sent_again = sent_by([&] { loss = loss + loss_of(layer(ids), upstream); });
        check_plan("forward", sent_again, again);
        if (output.is_shard()) continue;  // two lookups have two outputs to gather
        const auto back = sent_by([&] { tape.backward(loss); });
        check_plan("backward", back, backward);
      }
    }
  }
}

TEST_CASE("max_norm of many tables gathers their ids once and their norms once") {
  for (const auto& grid : factorisations(world().size(), 3)) {
    auto options = tables;
    options.max_norm = 1e9;
    options.storage = Replicate{};
    options.output = Partial{};
    options.exchange = Exchange::table;
    const DistributedMultiEmbedding<float> layer(Partition(world()).cartesian(grid), options);
    const auto ids =
        placed_ids<std::int64_t>(layer.input_distribution({ids_count, 4}), many_ids(ids_count, tables.num_embeddings));
    layer(ids);
    const CommRecorder recorder;
    layer(ids);
    Index gathered = 0, reduced = 0, others = 0;
    for (const auto& record : recorder.records()) {
      if (record.size > 1)
        ++(record.collective == Collective::all_gather   ? gathered
           : record.collective == Collective::all_reduce ? reduced
                                                         : others);
    }
    CHECK(gathered == (grid[0] > 1 ? 1 : 0));
    CHECK(reduced == (grid[2] > 1 ? 1 : 0));
    CHECK(others == 0);
  }
}

}  // namespace
}  // namespace tartan
