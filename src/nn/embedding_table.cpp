#include <tartan/nn/embedding_table.hpp>

#include <algorithm>
#include <cmath>

#include <tartan/autograd/operations.hpp>
#include <tartan/distributed/leaves.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "nn/lookup.hpp"

namespace tartan {
namespace {

EmbeddingAxes checked_axes(const std::optional<EmbeddingAxes>& given, const Grid& grid, const std::string& name) {
  const int axes = grid.axes();
  require(given || axes == 3,
          "the embedding '{}' needs .axes on a grid of {} axes: only on one of three are data, rows and columns 0, 1 "
          "and 2; EmbeddingAxes{{}} names none, and has the table whole",
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

template <class T>
const Shape& table_shape(const DistributedTensor<T>& weight, const std::string& name) {
  require(weight.shape().dimensions() == 2, "the embedding '{}' takes a weight of two dimensions, not {}", name,
          weight.distribution());
  return weight.shape();
}

Index checked_padding(Index padding, Index rows, const std::string& name) {
  require(-rows <= padding && padding < rows,
          "the embedding '{}' has padding_idx {}, which a table of {} rows does not have", name, padding, rows);
  return padding < 0 ? padding + rows : padding;
}

/// How many distinct ids are expected among `count` that are drawn uniformly from `rows`: any skew makes them fewer.
double distinct_ids(double count, double rows) {
  if (count == 0 || rows == 1) return std::min(count, 1.0);
  return -rows * std::expm1(count * std::log1p(-1 / rows));
}

}  // namespace

template <class T>
EmbeddingTable<T>::EmbeddingTable(const CartesianTopology& topology, EmbeddingLayerOptions options, Index rows,
                                  Index columns)
    : topology_(topology),
      options_(std::move(options)),
      axes_(checked_axes(options_.axes, topology.grid(), options_.name)) {
  const auto& name = options_.name;
  require(rows >= 1 && columns >= 1,
          "the embedding '{}' needs num_embeddings and embedding_dim of at least 1, not {} and {}", name, rows,
          columns);
  options_.num_embeddings = rows;
  options_.embedding_dim = columns;
  require(!options_.atomics || !options_.reproducible,
          "the embedding '{}' is reproducible or adds by atomics, not both", name);
  if (options_.padding_idx) options_.padding_idx = checked_padding(*options_.padding_idx, rows, name);
  if (options_.max_norm) {
    require(*options_.max_norm > 0, "the embedding '{}' has max_norm {}, which must be positive", name,
            *options_.max_norm);
    require(options_.norm_type > 0, "the embedding '{}' has norm_type {}, which must be positive", name,
            options_.norm_type);
  }
  const auto storage = options_.storage;
  require(storage.is_root() || storage.is_replicate() || storage.is_shard(0),
          "the embedding '{}' cannot store its weight as {} along the data axis: Root, Replicate or Shard(0)", name,
          storage);
  require(!options_.output.is_root(),
          "the embedding '{}' cannot give its output as Root along the rows axis: Partial, Replicate or Shard(d)",
          name);

  Placements placements(static_cast<std::size_t>(topology.grid().axes()), Replicate{});
  if (axes_.rows) placements[static_cast<std::size_t>(*axes_.rows)] = Shard{0};
  if (axes_.columns) placements[static_cast<std::size_t>(*axes_.columns)] = Shard{1};
  DistributionOptions how{.nesting = weight_nesting(axes_, topology.grid().axes()), .block_extents = {}};
  if (axes_.columns && !options_.column_extents.empty()) {
    how.block_extents[*axes_.columns] = options_.column_extents;
  } else if (axes_.columns && options_.reproducible) {
    how.block_extents[*axes_.columns] = leaf_blocks(columns, topology.grid().extent(*axes_.columns));
  }
  applied_ = Distribution(topology, Shape{rows, columns}, std::move(placements), std::move(how));
  if (options_.reproducible) require_leaves(applied_, 1);
  stored_ = axes_.data ? applied_.with(*axes_.data, storage) : applied_;
}

template <class T>
EmbeddingTable<T>::EmbeddingTable(const CartesianTopology& topology, EmbeddingLayerOptions options)
    : EmbeddingTable(topology, options, options.num_embeddings, options.embedding_dim) {
  const RandomStream stream(options_.seed, options_.name + ".weight");
  const Index padding = options_.padding_idx.value_or(-1);
  const Index columns = options_.embedding_dim;
  keep(DistributedTensor<T>::from_function(stored_, [&](std::span<const Index> i) {
    return i[0] == padding ? 0.0 : options_.initial(stream, i[0] * columns + i[1]);
  }));
}

template <class T>
EmbeddingTable<T>::EmbeddingTable(const CartesianTopology& topology, const DistributedTensor<T>& weight,
                                  EmbeddingLayerOptions options)
    : EmbeddingTable(topology, options, table_shape(weight, options.name)[0], table_shape(weight, options.name)[1]) {
  const auto fits = [](Index named, Index given) { return named == 0 || named == given; };
  require(fits(options.num_embeddings, weight.shape()[0]) && fits(options.embedding_dim, weight.shape()[1]),
          "the embedding '{}' is said to be ({}, {}) but was given a weight of {}", options_.name,
          options.num_embeddings, options.embedding_dim, weight.shape());
  const auto moved = redistribute(weight, stored_);
  keep(moved.local().data() == weight.local().data() ? moved.clone() : moved);
}

template <class T>
void EmbeddingTable<T>::keep(DistributedTensor<T> weight) {
  const auto name = options_.name + ".weight";
  weight_ = {options_.freeze ? Variable<T>(std::move(weight)) : this->add_parameter(name, std::move(weight)), applied_};
}

template <class T>
template <class I>
lookup::Lookup<T, I> EmbeddingTable<T>::look_up(const DistributedTensor<I>& ids, const Distribution& results,
                                                bool whole_rows) const {
  using lookup::Moving;
  const functional::EmbeddingOptions how{.padding_idx = options_.padding_idx,
                                         .scale_grad_by_freq = options_.scale_grad_by_freq,
                                         .sparse = options_.sparse,
                                         .reproducible = options_.reproducible,
                                         .atomics = options_.atomics};
  (void)lookup::Route(ids.distribution(), applied_, Moving::nothing);  // refuses ids that lie otherwise
  const auto output = options_.output;
  if (axes_.rows && output.is_shard())
    results.shape().appended(options_.embedding_dim).dimension(output.dim(), "output dimension");
  // Rows shrink where they are stored, before any copy of them moves.
  if (options_.max_norm)
    functional::renormalize_rows(ids, weight(), *options_.max_norm, options_.norm_type, options_.reproducible);
  if (moves_rows(ids.distribution(), results.shape().elements(), whole_rows)) return {ids, weight(), how, Moving::rows};
  const bool split = axes_.rows && topology_.grid().extent(*axes_.rows) > 1;
  return {ids, table(), how, whole_rows && split ? Moving::rows : Moving::nothing, weight()};
}

template <class T>
Variable<T> EmbeddingTable<T>::as_asked(const Variable<T>& rows) const {
  if (!axes_.rows) return rows;
  const auto& d = rows.distribution();
  auto placements = d.placements();
  placements[static_cast<std::size_t>(*axes_.rows)] = options_.output;
  auto how = d.options();
  // Two axes can share a dimension in balanced blocks only.
  if (options_.output.is_shard() && d.grid().extent(*axes_.rows) > 1) {
    const int dim = d.shape().dimension(options_.output.dim(), "output dimension");
    std::erase_if(how.block_extents, [&](const auto& entry) { return d.placement(entry.first).is_shard(dim); });
  }
  return redistribute(rows, d.with(std::move(placements), std::move(how)));
}

template <class T>
bool EmbeddingTable<T>::moves_rows(const Distribution& ids, std::optional<Index> results, bool whole_rows) const {
  const auto extent = [&](const std::optional<int>& axis) { return axis ? topology_.grid().extent(*axis) : 1; };
  const int data = extent(axes_.data);
  const int rows = extent(axes_.rows);
  if (options_.exchange == Exchange::table || (data > 1 && !ids.placement(*axes_.data).is_shard())) return false;
  if (options_.exchange == Exchange::rows) return true;

  // Elements that all ranks send, both ways, per column axis; a number of a row counts as two.
  const bool copies = options_.storage.is_replicate();
  const auto table_rows = static_cast<double>(options_.num_embeddings);
  const auto columns = static_cast<double>(options_.embedding_dim) / extent(axes_.columns);
  const double distinct = distinct_ids(static_cast<double>(ids.shape().elements()) / data, table_rows);
  const double named = (data - 1) * distinct * (columns + 2);
  const double whole = (data - 1) * table_rows * columns;
  const double gathered = (rows - 1.0) * data * distinct * columns;
  const double output = options_.output.is_partial() ? 0 : options_.output.is_shard() ? 1 : 2;
  const double summed = output * (rows - 1.0) * static_cast<double>(results.value_or(ids.shape().elements())) * columns;
  const double rows_back = copies ? data * named : named;
  const double table_back = copies ? 2 * whole : whole;
  const double by_rows = (copies ? 0 : named) + gathered + rows_back;
  const double by_table =
      (copies ? 0 : whole) + (whole_rows ? gathered : summed) +
      (options_.sparse || options_.reproducible || (whole_rows && rows > 1) ? rows_back : table_back);
  return by_rows < by_table;
}

template <class T>
Distribution EmbeddingTable<T>::input_distribution(const Shape& shape) const {
  Placements placements(static_cast<std::size_t>(topology_.grid().axes()), Replicate{});
  if (axes_.data && shape.dimensions() > 0) placements[static_cast<std::size_t>(*axes_.data)] = Shard{0};
  return {topology_, shape, std::move(placements)};
}

#define INSTANTIATE(T) template class EmbeddingTable<T>;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

#define INSTANTIATE(T, I)                                                                                          \
  template lookup::Lookup<T, I> EmbeddingTable<T>::look_up(const DistributedTensor<I>&, const Distribution&, bool) \
      const;
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
