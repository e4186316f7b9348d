// What bags send: the budget of an embedding, with rows for bags instead of rows for ids.

#include "nn/bag_oracle.hpp"
#include "nn/traffic.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 13;
constexpr Index D = 9;

TEST_CASE("bags send what a lookup sends, and terms of bags instead of terms of rows") {
  const auto batch = BagBatch::of_rows(6, 5, V);
  const auto upstream = some_upstream<float>(6 * D);
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    const Index table = V * D * (grid[0] - 1);
    const Index result = 6 * D * (grid[1] - 1);
    for (const auto mode : {BagMode::sum, BagMode::mean}) {
      for (const auto& output : outputs(1)) {
        const DistributedEmbeddingBag<float> layer(
            topology, {.num_embeddings = V, .embedding_dim = D, .output = output, .exchange = Exchange::table},
            {.mode = mode});
        const auto bags = placed_bags<Index>(topology, batch, BagForm::rows, true);
        layer(bags);  // the ids are agreed on now
        auto weight = layer.weight();
        weight.modify([](Tensor<float>&) {});  // and the table has to move again
        Plan forward;
        Plan backward;
        if (grid[0] > 1) forward.push_back({Collective::broadcast, table});
        if (grid[1] > 1 && output.is_replicate()) forward.push_back({Collective::all_reduce, 2 * result});
        if (grid[1] > 1 && output.is_shard()) forward.push_back({Collective::reduce_scatter, result});
        if (grid[1] > 1 && output.is_shard()) backward.push_back({Collective::all_gather, result});
        if (grid[0] > 1) backward.push_back({Collective::reduce, table});
        INFO("output " << output.to_string() << " on " << grid.to_string());
        GradientTape tape;
        Variable<float> loss;
        check_plan("forward", sent_by([&] { loss = loss_of(layer(bags), upstream); }), forward);
        check_plan("backward", sent_by([&] { tape.backward(loss); }), backward);
      }
    }
  }
}

TEST_CASE("the largest of bags sends each named row once along the rows axis, and nothing back") {
  const auto batch = BagBatch::of_rows(6, 5, V);
  const auto upstream = some_upstream<float>(6 * D);
  const auto named = std::ssize(std::set(batch.ids.begin(), batch.ids.end()));
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian({1, grid[0], grid[1]});
    for (const auto exchange : exchanges()) {
      const DistributedEmbeddingBag<float> layer(
          topology, {.num_embeddings = V, .embedding_dim = D, .exchange = exchange}, {.mode = BagMode::max});
      const auto bags = placed_bags<Index>(topology, batch, BagForm::rows, true);
      Plan forward;
      if (grid[0] > 1) forward.push_back({Collective::all_gather, named * D * (grid[0] - 1)});
      GradientTape tape;
      Variable<float> loss;
      check_plan("forward", sent_by([&] { loss = loss_of(layer(bags), upstream); }), forward);
      check_plan("backward", sent_by([&] { tape.backward(loss); }), {});
    }
  }
}

TEST_CASE("weights of ids send nothing forward, and one sum per axis that shards the table back") {
  const auto batch = BagBatch::of_rows(6, 5, V);
  const auto upstream = some_upstream<float>(6 * D);
  const auto factors = some_upstream<float>(30);
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian({1, grid[0], grid[1]});
    const DistributedEmbeddingBag<float> layer(
        topology, {.num_embeddings = V, .embedding_dim = D, .output = Partial{}, .exchange = Exchange::table},
        {.mode = BagMode::sum});
    const auto bags = placed_bags<Index>(topology, batch, BagForm::rows, true);
    const auto d = bags.ids().distribution();
    const auto weights = Variable<float>::parameter("w", DistributedTensor<float>::from_function(d, [&](auto i) {
                                                      return factors[static_cast<std::size_t>(d.shape().flat(i))];
                                                    }));
    Plan backward;
    for (const int axis : {1, 2}) {
      const Index parts = topology.grid().extent(axis);
      if (parts > 1) backward.push_back({Collective::all_reduce, 2 * 30 * (parts - 1) * (world().size() / parts)});
    }
    GradientTape tape;
    Variable<float> loss;
    check_plan("forward", sent_by([&] { loss = loss_of(layer(bags, weights), upstream); }), {});
    check_plan("backward", sent_by([&] { tape.backward(loss); }), backward);
  }
}

}  // namespace
}  // namespace tartan
