#pragma once

#include <optional>
#include <vector>

#include <tartan/tartan.hpp>

#include "clicks.hpp"
#include "options.hpp"

namespace click_prediction {

/// A small deep-learning recommendation model: the vectors of all categories and the numbers go through two hidden
/// layers to one logit. Ids (B, features), values (B, numbers), logits (B, 1); B is split over the data axis of the
/// grid, the rows and columns of the tables over the other two, and the linear layer that meets the tables with them.
class ClickModel : public tartan::Module<float> {
 public:
  ClickModel(const tartan::CartesianTopology& grid, const Options& options)
      : from_values_(
            grid,
            {.name = "from_values", .in_features = numbers, .out_features = options.hidden, .seed = options.seed}),
        middle_(
            grid,
            {.name = "middle", .in_features = options.hidden, .out_features = options.hidden, .seed = options.seed}),
        last_(grid, {.name = "last", .in_features = options.hidden, .out_features = 1, .seed = options.seed}) {
    if (options.embeddings) {
      tables_.emplace(
          grid, tartan::MultiEmbeddingLayerOptions{.name = "tables",
                                                   .num_embeddings = {table_sizes.begin(), table_sizes.end()},
                                                   .embedding_dim = std::vector<Index>(features, options.dimension),
                                                   .sparse = true,
                                                   .seed = options.seed,
                                                   .initial = tartan::initializers::normal(0, 0.1)});
      from_tables_.emplace(grid, tartan::LinearLayerOptions{.name = "from_tables",
                                                            .in_features = Index{features} * options.dimension,
                                                            .out_features = options.hidden,
                                                            .bias = false,
                                                            .dim = 0,
                                                            .seed = options.seed});
      add_parameters_of(*tables_);
      add_parameters_of(*from_tables_);
    }
    add_parameters_of(from_values_);
    add_parameters_of(middle_);
    add_parameters_of(last_);
  }

  tartan::Variable<float> operator()(const tartan::DistributedTensor<std::int32_t>& ids,
                                     const tartan::Variable<float>& values) const {
    auto hidden = from_values_(values);
    if (tables_) hidden = hidden + (*from_tables_)((*tables_)(ids));
    return last_(relu(middle_(relu(hidden))));
  }

 private:
  std::optional<tartan::DistributedMultiEmbedding<float>> tables_;  ///< none without embeddings
  std::optional<tartan::DistributedLinear<float>> from_tables_;
  tartan::DistributedLinear<float> from_values_, middle_, last_;
};

}  // namespace click_prediction
