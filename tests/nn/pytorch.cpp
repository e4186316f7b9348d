// Outputs, gradients and renormalised weights against those of PyTorch's nn.Embedding, on every grid.

#include "nn/options.hpp"
#include "oracles/dyadic.hpp"
#include "oracles/embedding_values.hpp"

namespace tartan {
namespace {

using namespace testing;

const std::map<std::string, EmbeddingLayerOptions>& cases() {
  const double infinity = std::numeric_limits<double>::infinity();
  static const std::map<std::string, EmbeddingLayerOptions> all{
      {"plain", {}},
      {"padding_idx", {.padding_idx = -6}},
      {"max_norm", {.max_norm = 0.75}},
      {"max_norm 1", {.max_norm = 1.25, .norm_type = 1}},
      {"max_norm 3.5", {.padding_idx = 4, .max_norm = 0.625, .norm_type = 3.5}},
      {"max_norm inf", {.max_norm = 0.5, .norm_type = infinity}},
      {"scale_grad_by_freq", {.scale_grad_by_freq = true}},
      {"scale and padding", {.padding_idx = 0, .scale_grad_by_freq = true}},
      {"sparse", {.padding_idx = 1, .sparse = true}},
      {"all", {.padding_idx = -1, .max_norm = 0.75, .sparse = true}},
  };
  return all;
}

template <class T>
void check_against_pytorch() {
  const std::vector<Index> ids{4, 1, 1, 0, 3, 1, 4, 0, 5, 6, 1, 0};
  const auto upstream = [] {
    std::vector<T> values;
    for (const double value : dyadic(36, 5, 1, 13, 16)) values.push_back(static_cast<T>(value));
    return values;
  }();
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    const auto table = placed_values<T>({topology, {8, 3}, {Replicate{}, Shard{0}, Shard{1}}}, dyadic(24, 7, 0, 11, 8));
    for (auto [name, options] : cases()) {
      for (const auto exchange : {Exchange::table, Exchange::rows}) {
        INFO(name << " on " << grid.to_string());
        options.exchange = exchange;
        options.storage = Shard{0};
        const DistributedEmbedding<T> layer(topology, table, options);
        GradientTape tape;
        const auto y = layer(placed_ids<Index>(layer.input_distribution({3, 4}), ids));
        tape.backward(loss_of(y, upstream));
        const auto key = name + suffix<T>() + ": ";
        CHECK(agrees(whole_rows(y), embedding_values.at(key + "output")));
        CHECK(agrees(layer.weight().dense_gradient(), embedding_values.at(key + "gradient")));
        CHECK(agrees(layer.weight().value(), embedding_values.at(key + "weight")));
      }
    }
  }
}

TEST_CASE("an embedding gives PyTorch's numbers") {
  check_against_pytorch<float>();
  check_against_pytorch<double>();
  CHECK(embedding_values.size() == cases().size() * 6);
}

}  // namespace
}  // namespace tartan
