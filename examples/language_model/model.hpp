#pragma once

#include <cmath>
#include <string>
#include <vector>

#include <tartan/tartan.hpp>

#include "options.hpp"

namespace language_model {

/// The axes of the grid.
inline constexpr int data_axis = 0;   ///< splits the batch
inline constexpr int model_axis = 1;  ///< splits heads, hidden features and the vocabulary

/// What the parts of a model are made from.
struct Setting {
  const tartan::CartesianTopology& grid;
  const Options& options;

  /// U(-1/√in, 1/√in), as usual; `quieter` for layers whose outputs are added up along the depth.
  tartan::LinearLayerOptions linear(std::string name, Index in, Index out, bool splits_out,
                                    bool quieter = false) const {
    const double bound =
        1 / std::sqrt(static_cast<double>(in) * (quieter ? 2.0 * static_cast<double>(options.layers) : 1));
    tartan::LinearAxes axes{.data = data_axis};
    (splits_out ? axes.out : axes.in) = model_axis;
    return {.name = std::move(name),
            .in_features = in,
            .out_features = out,
            .seed = options.seed,
            .axes = axes,
            .initial_weight = tartan::initializers::uniform(-bound, bound),
            .initial_bias = tartan::initializers::constant(0)};
  }
  tartan::DistributedDropout dropout(std::string name) const {
    return tartan::DistributedDropout({.name = std::move(name), .p = options.dropout, .seed = options.seed});
  }
  tartan::NormalizationOptions norm(std::string name) const {
    return {.name = std::move(name), .features = options.width};
  }
};

/// Activations are (batch, context, width), cut over the data axis and whole along the model axis.
using Activations = tartan::Variable<float>;

/// Attention of each position to those before it, its heads cut over the model axis: a column-parallel projection, a
/// row-parallel one, and so one all-reduce forward and one backward.
class Attention : public tartan::Module<float> {
 public:
  Attention(const Setting& setting, const std::string& name)
      : heads_{setting.options.heads},
        size_{setting.options.width / heads_},
        in_(setting.grid,
            [&] {
              auto options = setting.linear(name + ".in", heads_ * size_, 3 * heads_ * size_, true);
              options.parts = 3;
              options.out_unit = size_;
              return options;
            }()),
        out_(setting.grid, [&] {
          auto options = setting.linear(name + ".out", heads_ * size_, heads_ * size_, false, true);
          options.in_unit = size_;
          return options;
        }()) {
    add_parameters_of(in_);
    add_parameters_of(out_);
  }

  Activations operator()(const Activations& x) const {
    const Index batch = x.shape()[0], context = x.shape()[1];
    // (batch, context, 3, heads, size): what asks, what answers, and with what.
    const auto parts = split(reshape(in_(x), {batch, context, 3, heads_, size_}), {1, 1, 1}, 2);
    const auto part = [&](std::size_t i) { return reshape(parts[i], {batch, context, heads_, size_}); };
    const auto seen = scaled_dot_product_attention(part(0), part(1), part(2), {.causal = true});
    return out_(reshape(seen, {batch, context, heads_ * size_}));
  }

 private:
  Index heads_, size_;
  tartan::DistributedLinear<float> in_, out_;
};

/// A hidden layer of four times the width, cut over the model axis, likewise.
class Hidden : public tartan::Module<float> {
 public:
  Hidden(const Setting& setting, const std::string& name)
      : in_(setting.grid, setting.linear(name + ".in", setting.options.width, 4 * setting.options.width, true)),
        out_(setting.grid,
             setting.linear(name + ".out", 4 * setting.options.width, setting.options.width, false, true)) {
    add_parameters_of(in_);
    add_parameters_of(out_);
  }

  Activations operator()(const Activations& x) const { return out_(gelu(in_(x), tartan::GeluForm::tanh)); }

 private:
  tartan::DistributedLinear<float> in_, out_;
};

class Block : public tartan::Module<float> {
 public:
  Block(const Setting& setting, const std::string& name)
      : dropout_(setting.dropout(name + ".dropout")),
        before_attention_(setting.grid, setting.norm(name + ".before_attention")),
        attention_(setting, name + ".attention"),
        before_hidden_(setting.grid, setting.norm(name + ".before_hidden")),
        hidden_(setting, name + ".hidden") {
    add_parameters_of(before_attention_);
    add_parameters_of(attention_);
    add_parameters_of(before_hidden_);
    add_parameters_of(hidden_);
  }

  Activations operator()(const Activations& x) {
    const auto y = x + dropout_(attention_(before_attention_(x)));
    return y + dropout_(hidden_(before_hidden_(y)));
  }
  void set_training(bool training) { dropout_.set_training(training); }

 private:
  tartan::DistributedDropout dropout_;
  tartan::DistributedLayerNorm<float> before_attention_;
  Attention attention_;
  tartan::DistributedLayerNorm<float> before_hidden_;
  Hidden hidden_;
};

/// A transformer that gives the logits of the next token at every position: tokens (batch, context) to (batch, context,
/// vocabulary), cut over the data axis in the batch and over the model axis in the vocabulary. The table of tokens is
/// both the embedding, by rows, and the weight of the head, and has one gradient.
class Transformer : public tartan::Module<float> {
 public:
  Transformer(const tartan::CartesianTopology& grid, const Options& options, Index vocabulary)
      : Transformer(Setting{grid, options}, vocabulary) {}

  tartan::Variable<float> operator()(const tartan::DistributedTensor<std::int32_t>& tokens) {
    const auto places = tartan::DistributedTensor<std::int32_t>::from_function(
        tokens.distribution(), [](std::span<const Index> at) { return at[1]; });
    auto x = dropout_(tokens_(tokens) + places_(places));
    for (auto& block : blocks_) x = block(x);
    return head_(last_(x));
  }
  /// Whether activations are dropped: true at first.
  void set_training(bool training) {
    dropout_.set_training(training);
    for (auto& block : blocks_) block.set_training(training);
  }

  /// How tokens (batch, context) are placed.
  tartan::Distribution input_distribution(Index batch, Index context) const {
    return tokens_.input_distribution({batch, context});
  }

 private:
  Transformer(const Setting& setting, Index vocabulary)
      : tokens_(setting.grid, table(setting, "tokens", vocabulary, {.data = data_axis, .rows = model_axis})),
        places_(setting.grid, table(setting, "places", setting.options.context, {.data = data_axis})),
        dropout_(setting.dropout("dropout")),
        last_(setting.grid, setting.norm("last")),
        head_(tokens_.weight(),
              {.name = "head", .bias = false, .axes = tartan::LinearAxes{.data = data_axis, .out = model_axis}}) {
    add_parameters_of(tokens_);
    add_parameters_of(places_);
    for (Index i = 0; i < setting.options.layers; ++i) {
      blocks_.emplace_back(setting, "blocks." + std::to_string(i));
      add_parameters_of(blocks_.back());
    }
    add_parameters_of(last_);
  }

  static tartan::EmbeddingLayerOptions table(const Setting& setting, std::string name, Index rows,
                                             tartan::EmbeddingAxes axes) {
    return {.name = std::move(name),
            .num_embeddings = rows,
            .embedding_dim = setting.options.width,
            .seed = setting.options.seed,
            .initial = tartan::initializers::normal(0, 0.02),
            .axes = axes,
            .storage = tartan::Replicate{}};
  }

  tartan::DistributedEmbedding<float> tokens_, places_;
  tartan::DistributedDropout dropout_;
  std::vector<Block> blocks_;
  tartan::DistributedLayerNorm<float> last_;
  tartan::DistributedLinear<float> head_;
};

}  // namespace language_model
