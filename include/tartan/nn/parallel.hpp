#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include <tartan/nn/embedding.hpp>
#include <tartan/nn/linear.hpp>

namespace tartan {

/// The dimension that an axis of the grid, the last one unless it is named, cuts; none where it cuts none, and on a
/// grid without axes. Throws Error on an axis that the grid does not have.
std::optional<int> parallel_dim(const Distribution& distribution, std::optional<int> axis = {});
template <class T>
std::optional<int> parallel_dim(const DistributedTensor<T>& tensor, std::optional<int> axis = {}) {
  return parallel_dim(tensor.distribution(), axis);
}
template <class T>
std::optional<int> parallel_dim(const Variable<T>& variable, std::optional<int> axis = {}) {
  return parallel_dim(variable.distribution(), axis);
}

/// How layers are to be laid over a grid: of several rules that name a layer, the first decides.
struct ParallelRule {
  /// The name of a layer (options().name), in which each * stands for any text: "block.*.up".
  std::string layers;
  /// Linear layers, or embeddings, of that name: a rule is for the one kind.
  std::variant<LinearAxes, EmbeddingAxes> axes;
};

namespace parallel {

/// Finds out which rules have a layer, and which layers have one weight.
class Census {
 public:
  explicit Census(const std::vector<ParallelRule>& rules) : rules_{rules} {}

  template <class T>
  void count(const DistributedLinear<T>& layer) {
    const bool owns = layer.shared_weight().is_null();
    count(layer.options().name, 0, &(owns ? layer.weight() : layer.shared_weight()).value(), owns);
  }
  template <class T>
  void count(const DistributedEmbedding<T>& layer) {
    count(layer.options().name, 1, &layer.weight().value(), true);
  }
  template <class Layer>
  void count(const std::vector<Layer>& layers) {
    for (const auto& layer : layers) count(layer);
  }
  /// Throws Error where a rule has none, naming the layers that there are, and where a layer would be parted from
  /// another that has the same weight.
  void require_all() const;

 private:
  struct Layer {
    std::string name;
    const void* weight;  ///< the same for all layers that are on it
    bool owns;           ///< whether the weight is this layer's, and of no layer before it
    bool converted;
  };

  void count(const std::string& name, std::size_t kind, const void* weight, bool owns);

  const std::vector<ParallelRule>& rules_;
  std::vector<Layer> layers_;
  std::vector<bool> used_ = std::vector<bool>(rules_.size());
};

template <class T>
DistributedLinear<T> convert(const CartesianTopology& topology, const std::vector<ParallelRule>& rules,
                             const DistributedLinear<T>& layer);
template <class T>
DistributedEmbedding<T> convert(const CartesianTopology& topology, const std::vector<ParallelRule>& rules,
                                const DistributedEmbedding<T>& layer);
template <class Layer>
std::vector<Layer> convert(const CartesianTopology& topology, const std::vector<ParallelRule>& rules,
                           const std::vector<Layer>& layers) {
  std::vector<Layer> result;
  for (const auto& layer : layers) result.push_back(convert(topology, rules, layer));
  return result;
}

}  // namespace parallel

/// The layers of a model laid over `topology` as the rules say: linear layers, embeddings, and vectors of them. Values
/// and options stay, but for the axes (and an embedding's column_extents, which belong to them); a layer that no rule
/// names comes back as it is, on its own topology. The new layers have parameters of their own, without gradients.
/// Collective where values have to move, over the common root of the topologies. Throws Error on every rank, before
/// anything moves, where a rule decides for no layer; and where a rule names one of several layers of one weight,
/// copies or a linear layer on the weight of another, be it a frozen one: all but one are to be left out, and copied or
/// made again on the new weight().
///
///     auto [tokens, up, down] = convert_parallel(
///         grid, {{"tokens", EmbeddingAxes{.rows = 1}}, {"up", LinearAxes{.out = 1}}, {"down", LinearAxes{.in = 1}}},
///         model.tokens, model.up, model.down);
template <class... Layers>
std::tuple<Layers...> convert_parallel(const CartesianTopology& topology, const std::vector<ParallelRule>& rules,
                                       const Layers&... layers) {
  parallel::Census census(rules);
  (census.count(layers), ...);
  census.require_all();
  return std::tuple<Layers...>{parallel::convert(topology, rules, layers)...};  // in order
}

}  // namespace tartan
