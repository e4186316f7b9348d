#include <tartan/nn/embedding.hpp>

#include <algorithm>

#include <tartan/autograd/operations.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan {
namespace {

EmbeddingAxes checked_axes(const std::optional<EmbeddingAxes>& given, const Grid& grid, const std::string& name) {
  const int axes = grid.axes();
  require(
      given || axes == 3,
      "the embedding '{}' needs .axes on a grid of {} axes: only on one of three are data, rows and columns 0, 1 and 2",
      name, axes);
  const auto result = given.value_or(EmbeddingAxes{.data = 0, .rows = 1, .columns = 2});
  std::vector<int> used;
  for (const auto& axis : {result.data, result.rows, result.columns}) {
    if (!axis) continue;
    require(0 <= *axis && *axis < axes, "the embedding '{}' names axis {} of a grid of {} axes", name, *axis, axes);
    require(std::ranges::find(used, *axis) == used.end(), "the embedding '{}' names axis {} twice", name, *axis);
    used.push_back(*axis);
  }
  return result;
}

/// Rows nest outside data, so that one all-gather along the data axis makes a rank's rows whole.
std::vector<int> weight_nesting(const EmbeddingAxes& axes, int count) {
  std::vector<int> nesting;
  if (axes.rows) nesting.push_back(*axes.rows);
  for (int axis = 0; axis < count; ++axis) {
    if (axis != axes.rows) nesting.push_back(axis);
  }
  return nesting;
}

}  // namespace

template <class T>
DistributedEmbedding<T>::DistributedEmbedding(const CartesianTopology& topology, EmbeddingLayerOptions options)
    : topology_(topology),
      options_(std::move(options)),
      axes_(checked_axes(options_.axes, topology.grid(), options_.name)) {
  const Index rows = options_.num_embeddings;
  const Index columns = options_.embedding_dim;
  require(rows >= 1 && columns >= 1,
          "the embedding '{}' needs num_embeddings and embedding_dim of at least 1, not {} and {}", options_.name, rows,
          columns);
  if (options_.padding_idx) {
    auto& padding = *options_.padding_idx;
    require(-rows <= padding && padding < rows,
            "the embedding '{}' has padding_idx {}, which a table of {} rows does not have", options_.name, padding,
            rows);
    if (padding < 0) padding += rows;
  }
  const auto storage = options_.storage;
  require(storage.is_root() || storage.is_replicate() || storage.is_shard(0),
          "the embedding '{}' cannot store its weight as {} along the data axis: Root, Replicate or Shard(0)",
          options_.name, storage.to_string());
  require(!options_.output.is_root(),
          "the embedding '{}' cannot give its output as Root along the rows axis: Partial, Replicate or Shard(d)",
          options_.name);

  Placements placements(static_cast<std::size_t>(topology.grid().axes()), Replicate{});
  const auto place = [&](const std::optional<int>& axis, Placement placement) {
    if (axis) placements[static_cast<std::size_t>(*axis)] = placement;
  };
  place(axes_.rows, Shard{0});
  place(axes_.columns, Shard{1});
  const DistributionOptions nesting{.nesting = weight_nesting(axes_, topology.grid().axes())};
  applied_ = Distribution(topology, Shape{rows, columns}, placements, nesting);
  place(axes_.data, storage);
  const auto stored = applied_.with(placements);

  const RandomStream stream(options_.seed, options_.name + ".weight");
  const Index padding = options_.padding_idx.value_or(-1);
  weight_ = this->add_parameter(options_.name + ".weight",
                                DistributedTensor<T>::from_function(stored, [&](std::span<const Index> i) {
                                  return i[0] == padding ? 0.0 : options_.initial(stream, i[0] * columns + i[1]);
                                }));
}

template <class T>
template <class I>
Variable<T> DistributedEmbedding<T>::operator()(const DistributedTensor<I>& ids) const {
  const auto table = redistribute(weight_, applied_);
  const auto rows = functional::embedding(ids, table, {.padding_idx = options_.padding_idx, .sparse = options_.sparse});
  return axes_.rows ? redistribute(rows, rows.distribution().with(*axes_.rows, options_.output)) : rows;
}

template <class T>
Distribution DistributedEmbedding<T>::input_distribution(const Shape& shape) const {
  Placements placements(static_cast<std::size_t>(topology_.grid().axes()), Replicate{});
  if (axes_.data && shape.dimensions() > 0) placements[static_cast<std::size_t>(*axes_.data)] = Shard{0};
  return {topology_, shape, std::move(placements)};
}

#define INSTANTIATE(T)                                                                                    \
  template class DistributedEmbedding<T>;                                                                 \
  template Variable<T> DistributedEmbedding<T>::operator()(const DistributedTensor<std::int32_t>&) const; \
  template Variable<T> DistributedEmbedding<T>::operator()(const DistributedTensor<std::int64_t>&) const;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
