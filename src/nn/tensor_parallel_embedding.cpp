#include <tartan/nn/tensor_parallel_embedding.hpp>

#include <vector>

#include <tartan/comm/agreement.hpp>
#include <tartan/distributed/redistribution.hpp>
#include <tartan/distributed/row_exchange.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "nn/local_ids.hpp"

namespace tartan {
namespace {

/// What a rank says of its shard; of one that is not 2-d, no extents.
struct Said {
  Index dimensions, rows, columns, sharding_dim, num_embeddings;
};

/// Collective over the topology, of one axis: what each rank says.
std::vector<Said> say(const CartesianTopology& topology, const Said& mine) {
  const auto ranks = static_cast<std::size_t>(topology.size());
  const auto numbers = Tensor<Index>::from(
      {1, 5}, std::vector{mine.dimensions, mine.rows, mine.columns, mine.sharding_dim, mine.num_embeddings});
  const auto all = gather_pieces(topology, 0, numbers, std::vector<Index>(ranks, 1));
  std::vector<Said> said;
  for (const Index* n = all.data(); said.size() < ranks; n += 5) said.push_back({n[0], n[1], n[2], n[3], n[4]});
  return said;
}

/// The table that the shards are of.
struct Table {
  Shape shape;
  int sharding_dim;
  std::vector<Index> extents = {};  ///< of the shards along sharding_dim

  /// Throws Error where they make none: the same wherever the same was said.
  explicit Table(const std::vector<Said>& said) : sharding_dim{static_cast<int>(said[0].sharding_dim)} {
    const auto& first = said[0];
    Index total = 0;
    for (std::size_t r = 0; r < said.size(); ++r) {
      const auto& shard = said[r];
      require(shard.dimensions == 2, "the shard of a table on rank {} has {} dimensions, not 2", r, shard.dimensions);
      require(shard.sharding_dim == 0 || shard.sharding_dim == 1,
              "sharding_dim is {} on rank {}: 0 cuts a table's rows, 1 its columns", shard.sharding_dim, r);
      require(shard.sharding_dim == first.sharding_dim, "sharding_dim is {} on rank 0, but {} on rank {}",
              first.sharding_dim, shard.sharding_dim, r);
      require(shard.num_embeddings == first.num_embeddings, "num_embeddings is {} on rank 0, but {} on rank {}",
              first.num_embeddings, shard.num_embeddings, r);
      require(sharding_dim == 0 ? shard.columns == first.columns : shard.rows == first.rows,
              "a table is cut along dimension {}, but its shards are ({}, {}) on rank 0 and ({}, {}) on rank {}",
              sharding_dim, first.rows, first.columns, shard.rows, shard.columns, r);
      extents.push_back(sharding_dim == 0 ? shard.rows : shard.columns);
      total = checked_add(total, extents.back());
    }
    shape = sharding_dim == 0 ? Shape{total, first.columns} : Shape{first.rows, total};
    require(first.num_embeddings == 0 || first.num_embeddings == shape[0],
            "num_embeddings is {}, but the shards make a table of {}", first.num_embeddings, shape);
  }
};

}  // namespace

template <class T>
TensorParallelEmbedding<T>::TensorParallelEmbedding(Tensor<T> weight_shard, const TensorParallelOptions& options)
    : shard_{std::move(weight_shard)} {
  const auto& shape = shard_.shape();
  const bool matrix = shape.dimensions() == 2;
  const Said mine{shape.dimensions(), matrix ? shape[0] : 0, matrix ? shape[1] : 0, options.sharding_dim,
                  options.num_embeddings};
  if (options.tp_group.is_null()) {
    (void)Table({mine});
    return;
  }
  const auto topology = Partition(options.tp_group).cartesian({options.tp_group.size()}, shard_.device());
  const Table table(say(topology, mine));
  const Distribution cut(topology, table.shape, {Shard{table.sharding_dim}}, {.block_extents = {{0, table.extents}}});
  weight_ = DistributedTensor<T>::from_local(cut, shard_, LocalCheck::none);
}

template <class T>
template <class I>
Tensor<T> TensorParallelEmbedding<T>::operator()(const Tensor<I>& ids) const {
  if (weight_.is_null()) return functional::embedding(ids, shard_);
  const Distribution everywhere(weight_.topology(), ids.shape(), {Replicate{}});
  const auto all = DistributedTensor<I>::from_local(
      everywhere, ids, checks() == Checks::collective ? LocalCheck::replicas : LocalCheck::none);
  lookup::require_in_range(ids, weight_.shape()[0]);
  all.set_checked(weight_.shape()[0]);
  const auto rows = functional::embedding_by_rows(all, Variable<T>(weight_)).value();
  return redistribute(rows, {Replicate{}}).local();
}

#define INSTANTIATE(T)                                                                          \
  template class TensorParallelEmbedding<T>;                                                    \
  template Tensor<T> TensorParallelEmbedding<T>::operator()(const Tensor<std::int32_t>&) const; \
  template Tensor<T> TensorParallelEmbedding<T>::operator()(const Tensor<std::int64_t>&) const;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
