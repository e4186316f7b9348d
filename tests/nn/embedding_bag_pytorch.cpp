// Outputs and gradients of bags against those of PyTorch's nn.EmbeddingBag, on every grid.

#include "nn/bag_oracle.hpp"
#include "oracles/dyadic.hpp"
#include "oracles/embedding_bag_values.hpp"

namespace tartan {
namespace {

using namespace testing;

struct Case {
  std::string name;
  EmbeddingLayerOptions options;
  bool rows = false;
  bool include_last = false;
  bool weighted = false;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {.name = "rows", .options = {}, .rows = true},
      {.name = "offsets", .options = {}},
      {.name = "padding_idx", .options = {.padding_idx = -7}},
      {.name = "include_last_offset", .options = {}, .include_last = true},
      {.name = "max_norm", .options = {.max_norm = 0.75}},
      {.name = "sparse", .options = {.sparse = true}},
      {.name = "weighted", .options = {}, .weighted = true},
      {.name = "weighted and padding", .options = {.padding_idx = 1}, .weighted = true},
  };
  return all;
}

template <class T>
std::size_t check_against_pytorch() {
  const std::vector<Index> ids{4, 1, 1, 0, 3, 1, 4, 0, 5, 6, 1, 0};
  std::set<std::string> met;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    const auto table = placed_values<T>({topology, {8, 3}, {Replicate{}, Shard{0}, Shard{1}}}, dyadic(24, 7, 0, 11, 8));
    for (auto [name, options, rows, include_last, weighted] : cases()) {
      for (const auto& [mode, called] :
           {std::pair{BagMode::sum, "sum"}, {BagMode::mean, "mean"}, {BagMode::max, "max"}}) {
        const auto key = name + ", " + called + suffix<T>() + ": ";
        if (!embedding_bag_values.contains(key + "output")) continue;
        for (const auto exchange : {Exchange::table, Exchange::rows}) {
          INFO(key << "on " << grid.to_string());
          options.exchange = exchange;
          options.storage = Shard{0};
          const DistributedEmbeddingBag<T> layer(topology, table, options,
                                                 {.mode = mode, .include_last_offset = include_last});
          std::vector<Index> offsets{0, 2, 2, 7, 8};
          if (include_last) offsets.push_back(12);
          const auto line = placed_ids<Index>(layer.input_distribution({12}), ids);
          Variable<T> weights;
          if (weighted)
            weights = Variable<T>::parameter("w", placed_values<T>(line.distribution(), dyadic(12, 3, 2, 9, 4)));
          GradientTape tape;
          const auto y =
              rows ? layer(placed_ids<Index>(layer.input_distribution({3, 4}), ids))
                   : layer(line, placed_ids<Index>(layer.input_distribution({std::ssize(offsets)}), offsets), weights);
          std::vector<T> upstream;
          for (const double value : dyadic(y.shape().elements(), 5, 1, 13, 16))
            upstream.push_back(static_cast<T>(value));
          tape.backward(loss_of(y, upstream));
          const auto agree_on = [&](const char* what, const DistributedTensor<T>& tensor) {
            INFO(what);
            CHECK(agrees(tensor, embedding_bag_values.at(key + what)));
            met.insert(key + what);
          };
          agree_on("output", whole_rows(y));
          agree_on("gradient", layer.weight().dense_gradient());
          if (weighted) agree_on("weights' gradient", weights.dense_gradient());
        }
      }
    }
  }
  return met.size();
}

TEST_CASE("bags give PyTorch's numbers") {
  const auto met = check_against_pytorch<float>() + check_against_pytorch<double>();
  CHECK(met == embedding_bag_values.size());
}

}  // namespace
}  // namespace tartan
