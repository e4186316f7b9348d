#include <malloc.h>

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

}  // namespace
}  // namespace tartan
