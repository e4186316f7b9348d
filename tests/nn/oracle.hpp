#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <tartan/autograd/operations.hpp>
#include <tartan/nn/embedding.hpp>

#include "distributed/logical.hpp"
#include "kernels/cpu/reference.hpp"

/// An embedding on one rank, as plain loops over whole arrays.
namespace tartan::testing {

template <class T>
struct Table {
  Index rows = 0;
  Index columns = 0;
  std::vector<T> values;

  /// The initial table of a layer with the normal initializer.
  explicit Table(const EmbeddingLayerOptions& options) : rows{options.num_embeddings}, columns{options.embedding_dim} {
    const RandomStream stream(options.seed, options.name + ".weight");
    const Index padding = options.padding_idx ? (*options.padding_idx + rows) % rows : -1;
    for (Index i = 0; i < rows * columns; ++i) {
      values.push_back(i / columns == padding ? T{} : static_cast<T>(stream.normal(i)));
    }
  }

  std::vector<T> looked_up(const std::vector<Index>& ids) const {
    std::vector<T> out;
    for (const Index id : ids) {
      const auto row = values.begin() + id * columns;
      out.insert(out.end(), row, row + columns);
    }
    return out;
  }
};

/// The gradient of a table and, per element, the sum of the magnitudes of what was added.
template <class T>
struct TableGradient {
  std::vector<T> values;
  std::vector<double> magnitudes;
  std::vector<Index> rows;  ///< those that are hit, ascending

  TableGradient(const std::vector<Index>& ids, const std::vector<T>& upstream, Index rows_of_table, Index columns,
                Index padding = -1) {
    values.assign(static_cast<std::size_t>(rows_of_table * columns), T{});
    magnitudes.assign(values.size(), 0);
    std::map<Index, std::vector<std::size_t>> hits;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] != padding) hits[ids[i]].push_back(i);
    }
    for (const auto& [row, positions] : hits) {
      rows.push_back(row);
      for (Index c = 0; c < columns; ++c) {
        std::vector<T> terms;
        const auto element = static_cast<std::size_t>(row * columns + c);
        for (const std::size_t i : positions) {
          terms.push_back(upstream[i * static_cast<std::size_t>(columns) + static_cast<std::size_t>(c)]);
          magnitudes[element] += std::abs(static_cast<double>(terms.back()));
        }
        values[element] = kernels::reference::folded(std::move(terms));
      }
    }
  }
};

/// The elements of a whole array that this rank holds.
template <class V>
V held(const Distribution& d, const V& whole) {
  V mine;
  for (const Index flat : held_elements(d, my_position(d))) mine.push_back(whole[static_cast<std::size_t>(flat)]);
  return mine;
}

/// This rank's part has the bits of that part of `whole`.
template <class T>
bool same_bits(const DistributedTensor<T>& tensor, const std::vector<T>& whole) {
  const auto expected = held(tensor.distribution(), whole);
  const auto part = tensor.local_on_host();
  const auto local = part.span();
  return local.size() == expected.size() &&
         (local.empty() || std::memcmp(local.data(), expected.data(), local.size_bytes()) == 0);
}

/// This rank's part of a gradient is the oracle's: equal where `exact`, otherwise within a few roundings of the sum of
/// magnitudes.
template <class T>
bool matches(const DistributedTensor<T>& gradient, const TableGradient<T>& expected, bool exact) {
  const auto values = held(gradient.distribution(), expected.values);
  const auto magnitudes = held(gradient.distribution(), expected.magnitudes);
  const auto part = gradient.local_on_host();
  const auto local = part.span();
  if (local.size() != values.size()) return false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double bound = exact ? 0 : 4 * std::numeric_limits<T>::epsilon() * magnitudes[i];
    if (!(std::abs(static_cast<double>(local[i]) - static_cast<double>(values[i])) <= bound)) return false;
  }
  return true;
}

/// Ids that hit some rows often, some once and some never.
inline std::vector<Index> some_ids(Index count, Index rows) {
  std::vector<Index> ids;
  for (Index i = 0; i < count; ++i) ids.push_back((i * i + 3 * (i / 4)) % rows);
  return ids;
}

template <class I>
DistributedTensor<I> placed_ids(const Distribution& d, const std::vector<Index>& ids) {
  return DistributedTensor<I>::from_function(
      d, [&](std::span<const Index> index) { return ids[static_cast<std::size_t>(d.shape().flat(index))]; });
}

/// An upstream gradient that differs everywhere and is not exact in sums.
template <class T>
std::vector<T> some_upstream(Index count) {
  const RandomStream stream(7, "upstream");
  std::vector<T> values;
  for (Index i = 0; i < count; ++i) values.push_back(static_cast<T>(stream.normal(i)));
  return values;
}

/// <y, upstream>, whose gradient with respect to y is `upstream` to the last bit.
template <class T>
Variable<T> loss_of(const Variable<T>& y, const std::vector<T>& upstream) {
  const auto d = y.distribution().gradient();
  return sum(y * Variable<T>(DistributedTensor<T>::from_function(d, [&](std::span<const Index> index) {
               return upstream[static_cast<std::size_t>(d.shape().flat(index))];
             })));
}

/// Every placement that an output of `dims` dimensions may be asked for along the rows axis.
inline std::vector<Placement> outputs(int dims) {
  std::vector<Placement> result{Partial{}, Replicate{}};
  for (int dim = 0; dim < dims; ++dim) result.emplace_back(Shard{dim});
  return result;
}

inline const std::vector<Placement>& storages() {
  static const std::vector<Placement> all{Root{}, Replicate{}, Shard{0}};
  return all;
}

}  // namespace tartan::testing
