#include <tartan/nn/tensor_parallel_embedding.hpp>

#include <array>
#include <vector>

#include <tartan/comm/agreement.hpp>
#include <tartan/distributed/redistribution.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "nn/local_ids.hpp"

namespace tartan {
namespace {

/// What a rank says of its shard; of one that is not 2-d, no extents.
struct Said {
  Index dimensions, rows, columns, sharding_dim, num_embeddings;
  Device device;
};

/// Collective: what each rank says.
std::vector<Said> say(const Communicator& group, const Said& mine) {
  if (group.size() == 1) return {mine};
  constexpr std::size_t each = 6;
  constexpr Index cpu = -1;
  const std::array<Index, each> numbers{mine.dimensions,     mine.rows,
                                        mine.columns,        mine.sharding_dim,
                                        mine.num_embeddings, mine.device.is_cpu() ? cpu : mine.device.ordinal};
  const auto ranks = static_cast<std::size_t>(group.size());
  std::vector<Index> all(each * ranks);
  group.all_gather(std::span<const Index>(numbers), std::span(all), std::vector<Index>(ranks, each));
  std::vector<Said> said;
  for (const Index* n = all.data(); said.size() < ranks; n += each) {
    said.push_back({n[0], n[1], n[2], n[3], n[4], n[5] == cpu ? Device{} : Device::cuda(static_cast<int>(n[5]))});
  }
  return said;
}

/// The table that the shards are of.
struct Table {
  Shape shape;
  int sharding_dim;
  std::vector<Index> extents = {};  ///< of the shards along sharding_dim
  std::vector<Device> devices = {};

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
      require(shard.device.kind == first.device.kind, "the shard of a table lies on {} on rank 0, but on {} on rank {}",
              first.device, shard.device, r);
      extents.push_back(sharding_dim == 0 ? shard.rows : shard.columns);
      devices.push_back(shard.device);
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
  const Said mine{shape.dimensions(),   matrix ? shape[0] : 0,  matrix ? shape[1] : 0,
                  options.sharding_dim, options.num_embeddings, shard_.device()};
  if (options.tp_group.is_null()) {
    (void)Table({mine});
    return;
  }
  const Table table(say(options.tp_group, mine));
  const CartesianTopology topology(Partition(options.tp_group), {options.tp_group.size()}, table.devices);
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
