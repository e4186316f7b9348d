// What is built, used and destroyed, and what is trained for long, holds no more memory or MPI handles than before.

#include <malloc.h>

#include <tartan/autograd/activations.hpp>
#include <tartan/nn/cross_entropy.hpp>
#include <tartan/optim/optimizer.hpp>

#include "nn/oracle.hpp"

namespace tartan {
namespace {

using namespace testing;

Index bytes_in_use() {
  const auto info = mallinfo2();
  return static_cast<Index>(info.uordblks + info.hblkhd);
}

TEST_CASE("two thousand layers that are built, used and destroyed leave nothing behind") {
  const auto topology = Partition(world()).cartesian({world().size(), 1, 1});
  const auto live = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const DistributedEmbedding<float> layer(
          topology,
          {.name = "layer", .num_embeddings = 13, .embedding_dim = 8, .sparse = i % 2 == 0, .storage = Replicate{}});
      if (i % 20 != 0) continue;
      const auto ids = placed_ids<Index>(layer.input_distribution({5 + i % 3}), some_ids(7, 13));
      GradientTape tape;
      const auto y = layer(ids);
      tape.backward(sum(y * y));
    }
  };
  live(1000);
  const Index before = bytes_in_use();
  live(1000);
  // A table of a layer has 416 bytes; MPI keeps some pages for itself, and what enqueues work on devices a few more.
  CHECK(bytes_in_use() - before < 200'000);
}

TEST_CASE("ten thousand steps of layers and a loss over cut classes leave nothing behind") {
  const Partition all(world());
  const auto topology = all.cartesian({world().size()});
  const DistributedLinear<float> first(topology, {.name = "first", .in_features = 3, .out_features = 5, .dim = 1});
  const DistributedLinear<float> second(topology, {.name = "second", .in_features = 5, .out_features = 3, .dim = 0});
  const DistributedLinear<float> head(topology, {.name = "head", .in_features = 3, .out_features = 4, .dim = 1});
  Adam<float> optimizer({first.weight(), first.bias(), second.weight(), second.bias(), head.weight(), head.bias()});
  const auto x = Variable<float>(DistributedTensor<float>::constant({topology, {2, 3}, {Replicate{}}}, 0.5F));
  const auto targets = DistributedTensor<Index>::zeros({topology, {2}, {Replicate{}}});
  const auto next_handle = [&] { return MPI_Comm_c2f(all.cartesian({1, world().size()}).axis(1).native()); };
  const auto train = [&](int steps) {
    for (int step = 0; step < steps; ++step) {
      optimizer.clear_gradients();
      GradientTape tape;
      tape.backward(functional::cross_entropy(head(second(relu(first(x)))), targets));
      optimizer.step();
    }
  };
  const int count = world().size() <= 2   ? 10'000
                    : world().size() <= 4 ? 1'000
                                          : 100;  // each costs more the more ranks share a core
  train(count / 10);
  const auto handle = next_handle();
  const Index before = bytes_in_use();
  train(count);
  CHECK(next_handle() == handle);
  CHECK(bytes_in_use() - before < 100'000);  // MPI keeps some pages for itself
}

}  // namespace
}  // namespace tartan
