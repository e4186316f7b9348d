#include <iostream>

#include <tartan/tartan.hpp>

int main(int argc, char** argv) {
  return tartan::run(argc, argv, [](const tartan::Partition& world) {  // a host code passes its own communicator
                                                                       // instead
    auto grid = world.first(8).cartesian({2, 1, 4});                   // P_d × P_V × P_M

    tartan::DistributedEmbedding<float> embedding{grid, {.name = "tokens", .num_embeddings = 16, .embedding_dim = 32}};
    tartan::Sgd<float> sgd{embedding.parameters(), {.learning_rate = 0.1}};

    auto ids = tartan::DistributedTensor<tartan::Index>::from_function(embedding.input_distribution({16}),
                                                                       [](auto global) { return global[0]; });

    for (int step = 0; step < 10; ++step) {
      tartan::GradientTape tape;
      auto y = embedding(ids);  // (16, 32): Shard(0) × Replicate × Shard(1)
      tape.backward(sum(y * y));
      sgd.step();
      sgd.clear_gradients();

      const double length = norm(y.value());  // all ranks together
      if (world.rank() == 0) std::cout << y.distribution().to_string() << ", norm " << length << '\n';
    }
  });
}
