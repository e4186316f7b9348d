#include <tartan/nn/parallel.hpp>

#include <algorithm>
#include <string_view>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan {

std::optional<int> parallel_dim(const Distribution& distribution, std::optional<int> axis) {
  const int axes = distribution.grid().axes();
  if (!axis && axes == 0) return std::nullopt;
  const int asked = axis.value_or(axes - 1);
  require(0 <= asked && asked < axes, "axis {} is asked for of a grid that has {}: {}", asked, axes, distribution);
  const auto placement = distribution.placement(asked);
  return placement.is_shard() ? std::optional<int>(placement.dim()) : std::nullopt;
}

namespace parallel {
namespace {

/// Whether `name` is `pattern` with a text for each *.
bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0;
  // The last * so far, and where in the name what follows it is tried: a * before it need not stand for more.
  auto star = std::string_view::npos;
  std::size_t tried = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      tried = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++tried;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

/// The axes that the first rule for layers of that kind and name gives; none where there is no such.
template <class Axes>
std::optional<Axes> axes_for(const std::vector<ParallelRule>& rules, const std::string& name) {
  for (const auto& rule : rules) {
    const auto* axes = std::get_if<Axes>(&rule.axes);
    if (axes != nullptr && matches(rule.layers, name)) return *axes;
  }
  return std::nullopt;
}

}  // namespace

void Census::count(const std::string& name, std::size_t kind, const void* weight, bool owns) {
  const auto has_it = [&](const Layer& other) { return other.weight == weight; };
  auto& layer = layers_.emplace_back(Layer{name, weight, owns && std::ranges::none_of(layers_, has_it), false});
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (rules_[i].axes.index() != kind || !matches(rules_[i].layers, name)) continue;
    used_[i] = true;
    layer.converted = true;
    return;  // the first one decides
  }
}

void Census::require_all() const {
  std::vector<std::string> names;
  for (const auto& layer : layers_) names.push_back(layer.name);
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    require(used_[i], "the rule for '{}' names no {} that a rule before it does not name; there are the layers: {}",
            rules_[i].layers, rules_[i].axes.index() == 0 ? "linear layer" : "embedding", fmt::join(names, ", "));
  }
  for (const auto& layer : layers_) {
    const auto parts = [&](const Layer& other) { return other.converted && other.weight == layer.weight; };
    require(
        layer.owns || std::ranges::none_of(layers_, parts),
        "the layer '{}' has the weight of another layer, from which the conversion would part it: leave it out, and "
        "copy the converted one or make it again on that one's weight()",
        layer.name);
  }
}

template <class T>
DistributedLinear<T> convert(const CartesianTopology& topology, const std::vector<ParallelRule>& rules,
                             const DistributedLinear<T>& layer) {
  const auto axes = axes_for<LinearAxes>(rules, layer.options().name);
  if (!axes) return layer;
  auto options = layer.options();
  options.dim.reset();
  options.axes = axes;
  return {topology, layer.weight().value(), options.bias ? layer.bias().value() : DistributedTensor<T>(), options};
}

template <class T>
DistributedEmbedding<T> convert(const CartesianTopology& topology, const std::vector<ParallelRule>& rules,
                                const DistributedEmbedding<T>& layer) {
  const auto axes = axes_for<EmbeddingAxes>(rules, layer.options().name);
  if (!axes) return layer;
  auto options = layer.options();
  options.axes = axes;
  options.column_extents.clear();
  return {topology, layer.weight().value(), options};
}

#define INSTANTIATE(T)                                                                                 \
  template DistributedLinear<T> convert(const CartesianTopology&, const std::vector<ParallelRule>&,    \
                                        const DistributedLinear<T>&);                                  \
  template DistributedEmbedding<T> convert(const CartesianTopology&, const std::vector<ParallelRule>&, \
                                           const DistributedEmbedding<T>&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace parallel
}  // namespace tartan
