#include <tartan/nn/multi_embedding.hpp>

#include <algorithm>

#include <tartan/autograd/operations.hpp>
#include <tartan/distributed/leaves.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "nn/side_by_side.hpp"

namespace tartan {

std::vector<std::vector<Index>> blocks_side_by_side(const std::vector<Index>& widths, Index parts, bool leaves) {
  std::vector<Index> begins{0};  // of the tables, and the end of the last
  std::vector<Index> places{0};  // where a cut may be
  for (const Index width : widths) {
    require(width >= 0, "a table has {} columns", width);
    for (Index column = 0; column < width; column += leaves ? leaf_columns : 1)
      places.push_back(begins.back() + column);
    begins.push_back(begins.back() + width);
  }
  places.push_back(begins.back());
  const auto nearest = [&](Index column) {
    const auto above = std::ranges::lower_bound(places, column);
    return above == places.begin() || *above - column < column - *(above - 1) ? *above : *(above - 1);
  };
  const auto even = Decomposition::balanced(begins.back(), parts);
  std::vector<std::vector<Index>> extents(widths.size());
  for (Index part = 0; part < parts; ++part) {
    const Interval block{nearest(even.block(part).begin), nearest(even.block(part).end)};
    for (std::size_t f = 0; f < widths.size(); ++f)
      extents[f].push_back(intersect(block, {begins[f], begins[f + 1]}).extent());
  }
  return extents;
}

namespace functional {
namespace {

template <class T, class I>
Variable<T> looked_up(const DistributedTensor<I>& ids, const std::vector<Variable<T>>& weights,
                      const MultiEmbeddingOptions& options, lookup::Moving moving) {
  const auto columns = lookup::columns_of(ids);
  require(columns.size() == weights.size(), "a lookup in {} tables takes ids (..., {}), not {}", weights.size(),
          weights.size(), ids.distribution());
  std::vector<Distribution> parts;
  for (const auto& weight : weights)
    parts.push_back(lookup::Route(columns.front().distribution(), weight.distribution(), moving).result);
  (void)lookup::side_by_side(parts);
  lookup::prepare(ids, columns, weights, options);
  std::vector<lookup::Lookup<T, I>> lookups;
  for (std::size_t f = 0; f < weights.size(); ++f)
    lookups.emplace_back(columns[f], weights[f], lookup::of_table(options, f), moving);
  return lookup::looked_up(ids, lookups);
}

}  // namespace

template <class T, class I>
Variable<T> multi_embedding(const DistributedTensor<I>& ids, const std::vector<Variable<T>>& weights,
                            const MultiEmbeddingOptions& options) {
  return looked_up(ids, weights, options, lookup::Moving::nothing);
}

template <class T, class I>
Variable<T> multi_embedding_by_rows(const DistributedTensor<I>& ids, const std::vector<Variable<T>>& weights,
                                    const MultiEmbeddingOptions& options) {
  return looked_up(ids, weights, options, lookup::Moving::rows);
}

#define INSTANTIATE(T, I)                                                                                    \
  template Variable<T> multi_embedding(const DistributedTensor<I>&, const std::vector<Variable<T>>&,         \
                                       const MultiEmbeddingOptions&);                                        \
  template Variable<T> multi_embedding_by_rows(const DistributedTensor<I>&, const std::vector<Variable<T>>&, \
                                               const MultiEmbeddingOptions&);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace functional

namespace {

/// The options of each table, as a layer of its own has them.
std::vector<EmbeddingLayerOptions> of_tables(const CartesianTopology& topology,
                                             const MultiEmbeddingLayerOptions& options) {
  const auto tables = options.embedding_dim.size();
  const auto& name = options.name;
  require(tables > 0, "the multi-embedding '{}' needs the embedding_dim of at least one table", name);
  require(options.num_embeddings.size() == tables, "the multi-embedding '{}' has {} num_embeddings for {} tables", name,
          options.num_embeddings.size(), tables);
  require(options.names.empty() || options.names.size() == tables,
          "the multi-embedding '{}' has {} names for {} tables", name, options.names.size(), tables);
  require(options.padding_idx.empty() || options.padding_idx.size() == tables,
          "the multi-embedding '{}' has {} padding_idx for {} tables", name, options.padding_idx.size(), tables);
  require(std::ranges::min(options.embedding_dim) >= 1, "the multi-embedding '{}' has an embedding_dim of {}", name,
          std::ranges::min(options.embedding_dim));
  for (auto n = options.names.begin(); n != options.names.end(); ++n)
    require(std::find(options.names.begin(), n, *n) == n, "the multi-embedding '{}' has two tables named '{}'", name,
            *n);

  std::vector<std::vector<Index>> extents(tables);
  const auto columns = options.axes.value_or(EmbeddingAxes{.data = 0, .rows = 1, .columns = 2}).columns;
  if (columns && 0 <= *columns && *columns < topology.grid().axes())
    extents = blocks_side_by_side(options.embedding_dim, topology.grid().extent(*columns), options.reproducible);
  std::vector<EmbeddingLayerOptions> result;
  for (std::size_t f = 0; f < tables; ++f) {
    result.push_back({.name = options.names.empty() ? fmt::format("{}.{}", name, f) : options.names[f],
                      .num_embeddings = options.num_embeddings[f],
                      .embedding_dim = options.embedding_dim[f],
                      .column_extents = extents[f],
                      .padding_idx = options.padding_idx.empty() ? std::nullopt : options.padding_idx[f],
                      .max_norm = options.max_norm,
                      .norm_type = options.norm_type,
                      .scale_grad_by_freq = options.scale_grad_by_freq,
                      .freeze = options.freeze,
                      .sparse = options.sparse,
                      .reproducible = options.reproducible,
                      .atomics = options.atomics,
                      .seed = options.seed,
                      .initial = options.initial,
                      .axes = options.axes,
                      .storage = options.storage,
                      .output = options.output,
                      .exchange = options.exchange});
  }
  return result;
}

/// With the extents of `weights` where none are given.
template <class T>
MultiEmbeddingLayerOptions with_extents(MultiEmbeddingLayerOptions options,
                                        const std::vector<DistributedTensor<T>>& weights) {
  const auto fill = [&](std::vector<Index>& extents, int dim) {
    for (std::size_t f = 0; extents.size() == f && f < weights.size(); ++f) {
      require(weights[f].shape().dimensions() == 2, "the multi-embedding '{}' takes weights of two dimensions, not {}",
              options.name, weights[f].distribution());
      extents.push_back(weights[f].shape()[dim]);
    }
  };
  fill(options.num_embeddings, 0);
  fill(options.embedding_dim, 1);
  require(options.embedding_dim.size() == weights.size(), "the multi-embedding '{}' was given {} weights for {} tables",
          options.name, weights.size(), options.embedding_dim.size());
  return options;
}

}  // namespace

template <class T>
DistributedMultiEmbedding<T>::DistributedMultiEmbedding(const CartesianTopology& topology,
                                                        MultiEmbeddingLayerOptions options)
    : options_(std::move(options)) {
  for (const auto& table : of_tables(topology, options_)) add(Table(topology, table));
}

template <class T>
DistributedMultiEmbedding<T>::DistributedMultiEmbedding(const CartesianTopology& topology,
                                                        const std::vector<DistributedTensor<T>>& weights,
                                                        MultiEmbeddingLayerOptions options)
    : options_(with_extents(std::move(options), weights)) {
  for (const auto& table : of_tables(topology, options_)) add(Table(topology, weights[tables_.size()], table));
}

template <class T>
void DistributedMultiEmbedding<T>::add(Table table) {
  const auto& weight = table.weight();
  const auto& data = table.axes().data;
  weights_.push_back(weight);
  applied_.push_back(data ? weight.distribution().with(*data, Replicate{}) : weight.distribution());
  moved_.emplace_back();
  this->add_parameters_of(table);
  tables_.push_back(std::move(table));
}

template <class T>
std::vector<Variable<T>> DistributedMultiEmbedding<T>::moved() const {
  std::vector<std::size_t> changed;
  std::vector<DistributedTensor<T>> tables;
  std::vector<Distribution> to;
  for (std::size_t f = 0; f < weights_.size(); ++f) {
    const auto& value = weights_[f].value();
    if (moved_[f] && moved_[f]->version == value.version()) continue;
    moved_[f].reset();
    changed.push_back(f);
    tables.push_back(value);
    to.push_back(applied_[f]);
  }
  auto fresh = redistribute_together(std::move(tables), to);
  for (std::size_t i = 0; i < changed.size(); ++i)
    moved_[changed[i]] = Moved{std::move(fresh[i]), weights_[changed[i]].value().version()};
  std::vector<Variable<T>> result;
  for (std::size_t f = 0; f < weights_.size(); ++f) result.push_back(redistributed(weights_[f], moved_[f]->table));
  return result;
}

template <class T>
template <class I>
Variable<T> DistributedMultiEmbedding<T>::operator()(const DistributedTensor<I>& ids) const {
  using lookup::Moving;
  const functional::MultiEmbeddingOptions how{.padding_idx = options_.padding_idx,
                                              .max_norm = options_.max_norm,
                                              .norm_type = options_.norm_type,
                                              .scale_grad_by_freq = options_.scale_grad_by_freq,
                                              .sparse = options_.sparse,
                                              .reproducible = options_.reproducible,
                                              .atomics = options_.atomics};
  const auto columns = lookup::columns_of(ids);
  require(columns.size() == tables_.size(), "the multi-embedding '{}' takes ids (..., {}), not {}", options_.name,
          tables_.size(), ids.distribution());
  const auto& one = columns.front().distribution();
  const auto& rows = tables_.front().axes().rows;
  // What does not fit is refused before anything changes.
  std::vector<Distribution> parts;
  for (const auto& applied : applied_) parts.push_back(lookup::Route(one, applied, Moving::nothing).result);
  const auto asked = [&](const Distribution& d) { return rows ? d.with(*rows, options_.output) : d; };
  (void)asked(lookup::side_by_side(parts));
  lookup::prepare(ids, columns, weights_, how);

  const bool by_rows = std::ranges::any_of(tables_, [&](const auto& table) { return table.moves_rows(one); });
  const auto looked_in = by_rows ? weights_ : moved();
  std::vector<lookup::Lookup<T, I>> lookups;
  for (std::size_t f = 0; f < tables_.size(); ++f) {
    lookups.emplace_back(columns[f], looked_in[f], lookup::of_table(how, f), by_rows ? Moving::rows : Moving::nothing,
                         weights_[f]);
  }
  const auto result = lookup::looked_up(ids, lookups);
  return redistribute(result, asked(result.distribution()));
}

template <class T>
Distribution DistributedMultiEmbedding<T>::input_distribution(const Shape& shape) const {
  const auto d = tables_.front().input_distribution(shape);
  const auto& data = tables_.front().axes().data;
  return data && shape.dimensions() == 1 ? d.with(*data, Replicate{}) : d;
}

#define INSTANTIATE(T)                                                                                         \
  template class DistributedMultiEmbedding<T>;                                                                 \
  template Variable<T> DistributedMultiEmbedding<T>::operator()(const DistributedTensor<std::int32_t>&) const; \
  template Variable<T> DistributedMultiEmbedding<T>::operator()(const DistributedTensor<std::int64_t>&) const;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
