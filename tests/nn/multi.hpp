#pragma once

#include <numeric>

#include <tartan/nn/multi_embedding.hpp>

#include "nn/options.hpp"

/// Many tables on one rank, as plain loops over whole arrays.
namespace tartan::testing {

inline Index total(const std::vector<Index>& widths) { return std::accumulate(widths.begin(), widths.end(), Index{0}); }

/// The options of a layer for table `f` alone.
inline EmbeddingLayerOptions of_table(const MultiEmbeddingLayerOptions& options, std::size_t f) {
  return {.name = options.names.empty() ? options.name + "." + std::to_string(f) : options.names[f],
          .num_embeddings = options.num_embeddings[f],
          .embedding_dim = options.embedding_dim[f],
          .padding_idx = options.padding_idx.empty() ? std::nullopt : options.padding_idx[f],
          .max_norm = options.max_norm,
          .norm_type = options.norm_type,
          .scale_grad_by_freq = options.scale_grad_by_freq,
          .sparse = options.sparse,
          .reproducible = options.reproducible,
          .seed = options.seed,
          .storage = options.storage,
          .output = options.output,
          .exchange = options.exchange};
}

template <class T>
std::vector<Table<T>> whole_tables(const MultiEmbeddingLayerOptions& options) {
  std::vector<Table<T>> tables;
  for (std::size_t f = 0; f < options.embedding_dim.size(); ++f) tables.emplace_back(of_table(options, f));
  return tables;
}

/// Ids (count, tables) of tables with so many rows, others at each step.
inline std::vector<Index> many_ids(Index count, const std::vector<Index>& rows, Index step = 1) {
  std::vector<Index> ids;
  for (Index i = 0; i < count; ++i) {
    for (Index f = 0; f < std::ssize(rows); ++f)
      ids.push_back((step * (i * i + 3 * (i / 4)) + f * i + step / 2) % rows[static_cast<std::size_t>(f)]);
  }
  return ids;
}

inline std::vector<Index> column(const std::vector<Index>& ids, std::size_t tables, std::size_t f) {
  std::vector<Index> result;
  for (std::size_t i = f; i < ids.size(); i += tables) result.push_back(ids[i]);
  return result;
}

template <class T>
std::vector<T> side_by_side(const std::vector<Table<T>>& tables, const std::vector<Index>& ids) {
  std::vector<T> out;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto& table = tables[i % tables.size()];
    const auto row = table.values.begin() + ids[i] * table.columns;
    out.insert(out.end(), row, row + table.columns);
  }
  return out;
}

/// The columns of table `f` in rows of all tables.
template <class T>
std::vector<T> columns_of_table(const std::vector<T>& rows, const std::vector<Index>& widths, std::size_t f) {
  const Index first = total({widths.begin(), widths.begin() + static_cast<std::ptrdiff_t>(f)});
  std::vector<T> part;
  for (auto row = rows.begin(); row != rows.end(); row += total(widths))
    part.insert(part.end(), row + first, row + first + widths[f]);
  return part;
}

}  // namespace tartan::testing
