// Tensor-parallel lookups: every cut of a table between the ranks of a group against the whole table, what is sent, and
// what is refused.

#include <tartan/nn/tensor_parallel_embedding.hpp>

#include <tartan/comm/agreement.hpp>

#include <set>

#include "autograd/logical.hpp"
#include "comm/data.hpp"
#include "nn/local_tensors.hpp"
#include "support/error_text.hpp"
#include "support/pmpi.hpp"

namespace tartan {
namespace {

using namespace testing;

/// Ways to cut `extent` into blocks of `ranks` ranks.
std::vector<std::vector<Index>> cuts(Index extent, int ranks) {
  std::vector<Index> balanced;
  for (int r = 0; r < ranks; ++r) balanced.push_back(Decomposition::balanced(extent, ranks).block(r).extent());
  std::vector<Index> first(static_cast<std::size_t>(ranks), 0);
  auto last = first;
  first.front() = last.back() = extent;
  std::vector<Index> falling;
  Index left = extent;
  for (int r = 1; r < ranks; ++r) {
    falling.push_back((left + 1) / 2);
    left -= falling.back();
  }
  falling.push_back(left);
  return {balanced, first, last, falling};
}

/// This rank's shard of the table.
template <class T>
Tensor<T> shard_of(const Table<T>& table, int dim, const std::vector<Index>& extents, int rank) {
  Index begin = 0;
  for (int r = 0; r < rank; ++r) begin += extents[static_cast<std::size_t>(r)];
  const Index extent = extents[static_cast<std::size_t>(rank)];
  const Index first_row = dim == 0 ? begin : 0;
  const Index first_column = dim == 0 ? 0 : begin;
  Tensor<T> shard(dim == 0 ? Shape{extent, table.columns} : Shape{table.rows, extent});
  for (Index i = 0; i < shard.elements(); ++i) {
    const Index row = first_row + i / shard.shape()[1];
    const Index column = first_column + i % shard.shape()[1];
    shard[i] = table.values[static_cast<std::size_t>(row * table.columns + column)];
  }
  return shard;
}

/// All ranks, all ranks backwards, and this rank's half of them.
std::vector<Communicator> groups() {
  const int rank = world().rank();
  return {world(), world().split(0, -rank, "backwards"), world().split(rank % 2, rank, "half")};
}

template <class T, class I>
void check_lookups() {
  const Table<T> table({.num_embeddings = 7, .embedding_dim = 5});
  for (const auto& group : groups()) {
    for (const int dim : {0, 1}) {
      for (const auto& extents : cuts(dim == 0 ? 7 : 5, group.size())) {
        const auto shard = shard_of(table, dim, extents, group.rank());
        const TensorParallelOptions options{.tp_group = group, .sharding_dim = dim, .num_embeddings = 7};
        const TensorParallelEmbedding<T> plan(shard, options);
        for (const Shape& shape : {Shape{}, Shape{1}, Shape{2, 3}, Shape{0}, Shape{3, 0}, Shape{40}}) {
          INFO("ids " << shape.to_string() << " on " << group.name() << ", dimension " << dim << " in blocks "
                      << Shape(extents).to_string());
          const auto list = some_ids(shape.elements(), 7);
          const auto ids = ids_of<I>(shape, list);
          const auto out = plan(ids);
          CHECK(out.shape() == shape.appended(5));
          CHECK(same_bits(out, table.looked_up(list)));
          CHECK(same_bits(functional::embedding(ids, shard, options), table.looked_up(list)));
        }
      }
    }
  }
}

TEST_CASE("a tensor-parallel lookup is one in the whole table, whichever ranks have which part of it") {
  check_lookups<float, std::int32_t>();
  check_lookups<float, std::int64_t>();
  check_lookups<double, std::int32_t>();
  check_lookups<double, std::int64_t>();
}

TEST_CASE("one rank, or no group at all, has all of the table") {
  const Table<float> table({.num_embeddings = 7, .embedding_dim = 5});
  const auto whole = Tensor<float>::from({7, 5}, table.values);
  const auto list = some_ids(9, 7);
  const auto ids = ids_of<Index>({9}, list);
  const auto self = world().split(world().rank(), 0, "self");
  for (const int dim : {0, 1}) {
    const auto alone = [&](Communicator group) {
      return functional::embedding(ids, whole, {.tp_group = std::move(group), .sharding_dim = dim});
    };
    CHECK(same_bits(alone(self), table.looked_up(list)));
    CHECK(same_bits(alone({}), table.looked_up(list)));
  }
  CHECK(contains(error_text([&] { functional::embedding(ids, whole, {.num_embeddings = 8}); }),
                 "num_embeddings is 8, but the shards make a table of (7, 5)"));
}

TEST_CASE("a plan sees what its shard holds now, and its results are the caller's") {
  const int n = world().size();
  auto shard = Tensor<float>(Shape{2, 3}, static_cast<float>(world().rank()));
  const TensorParallelEmbedding<float> plan(shard, {.tp_group = world()});
  const auto ids = ids_of<std::int32_t>({2}, {0, 2 * n - 1});
  auto before = plan(ids);
  shard.fill(static_cast<float>(world().rank() + 10));
  const auto after = plan(ids);
  const auto rows_of = [n](int shift) {
    const auto low = static_cast<float>(shift);
    const auto high = static_cast<float>(shift + n - 1);
    return std::vector<float>{low, low, low, high, high, high};
  };
  CHECK(same_bits(before, rows_of(0)));
  CHECK(same_bits(after, rows_of(10)));
  before.fill(-1);
  CHECK(same_bits(after, rows_of(10)));
  CHECK(same_bits(plan(ids), rows_of(10)));
}

/// Collective. The calls and the bytes of all-gathers that all ranks together sent.
template <class Call>
MpiTraffic gathered_by(Call call) {
  const CommRecorder recorder;
  const MpiCounter mpi;
  call();
  CHECK(mpi.collectives() == mpi.traffic(Collective::all_gather));
  CHECK(mpi.messages().calls == 0);
  CHECK(recorder.count() == mpi.collectives().calls);
  CHECK(recorder.bytes() == mpi.collectives().bytes);
  const Index calls = recorder.count();
  const Index mine = recorder.bytes();
  Index sum = 0;
  world().all_reduce(std::span<const Index>(&mine, 1), std::span<Index>(&sum, 1));
  return {calls, sum};
}

TEST_CASE("a tensor-parallel lookup sends distinct rows or columns once, and its plan 48 bytes from each rank") {
  const Index n = world().size();
  const Table<float> table({.num_embeddings = 7, .embedding_dim = 5});
  const auto list = some_ids(40, 5);
  const auto distinct = std::ssize(std::set(list.begin(), list.end()));
  REQUIRE(distinct < 7);
  const auto ids = ids_of<Index>({40}, list);
  for (const int dim : {0, 1}) {
    for (const auto& extents : cuts(dim == 0 ? 7 : 5, world().size())) {
      const auto shard = shard_of(table, dim, extents, world().rank());
      const TensorParallelOptions options{.tp_group = world(), .sharding_dim = dim, .num_embeddings = 7};
      const TensorParallelEmbedding<float> plan(shard, options);
      const Index lookup = (dim == 0 ? distinct : 40) * 5 * (n - 1) * static_cast<Index>(sizeof(float));
      const Index planning = 48 * n * (n - 1);
      const auto planned = gathered_by([&] { plan(ids); });
      CHECK(planned.calls == (n > 1 ? 1 : 0));
      CHECK(planned.bytes == lookup);
      const auto free = gathered_by([&] { functional::embedding(ids, shard, options); });
      CHECK(free.calls == (n > 1 ? 2 : 0));
      CHECK(free.bytes == lookup + planning);
    }
  }
}

TEST_CASE("shards that make no table are refused on every rank, whichever rank has the wrong one") {
  const int n = world().size();
  const auto ids = ids_of<Index>({2}, {1, 0});
  SameTexts texts;
  for (const int dim : {0, 1}) {
    for (int culprit = 0; culprit < n; ++culprit) {
      const bool mine = world().rank() == culprit;
      const auto of = [&](const Shape& wrong, TensorParallelOptions options) {
        const Tensor<float> shard(mine ? wrong : Shape{3, 3}, 1.0F);
        return texts.of([&] { functional::embedding(ids, shard, options); });
      };
      const TensorParallelOptions options{.tp_group = world(), .sharding_dim = dim};
      const auto rank = "rank " + std::to_string(culprit);
      CHECK(of({9}, options) == "the shard of a table on " + rank + " has 1 dimensions, not 2");
      CHECK(contains(of({}, options), rank + " has 0 dimensions"));
      for (const int wrong : {-1, 2}) {
        auto cut = options;
        if (mine) cut.sharding_dim = wrong;
        CHECK(contains(of({3, 3}, cut), "sharding_dim is " + std::to_string(wrong) + " on " + rank));
      }
      auto fewer = options;
      fewer.num_embeddings = dim == 0 ? 3 * n - 1 : 2;
      CHECK(contains(of({3, 3}, fewer), "num_embeddings is " + std::to_string(fewer.num_embeddings) +
                                            ", but the shards make a table of " +
                                            (dim == 0 ? Shape{3 * n, 3} : Shape{3, 3 * n}).to_string()));
      if (n > 1) {
        CHECK(contains(of(dim == 0 ? Shape{3, 4} : Shape{4, 3}, options), "a table is cut along dimension"));
        auto turned = options;
        if (mine) turned.sharding_dim = 1 - dim;
        CHECK(contains(of({3, 3}, turned), "sharding_dim is "));
        auto other = options;
        if (mine) other.num_embeddings = 1;
        CHECK(contains(of({3, 3}, other), "num_embeddings is "));
      }
    }
  }
  texts.verify();
}

TEST_CASE("replicated ids out of range are the same error on every rank, before anything is sent") {
  SameTexts texts;
  const Index n = world().size();
  for (const int dim : {0, 1}) {
    const Tensor<float> shard(Shape{3, 2}, 1.0F);
    const TensorParallelEmbedding<float> plan(shard, {.tp_group = world(), .sharding_dim = dim});
    const Index rows = dim == 0 ? 3 * n : 3;
    for (const Index bad : {Index{-1}, rows, Index{1} << 40}) {
      const auto sent = gathered_by([&] {
        CHECK(texts.of([&] {
          plan(ids_of<Index>({2, 2}, {0, 1, bad, bad}));
        }) == "id " + std::to_string(bad) + " at position (1, 0) of the ids is out of range: the table has " +
                  std::to_string(rows) + " rows, so ids are 0 to " + std::to_string(rows - 1));
      });
      CHECK(sent.calls == 0);
    }
    CHECK(same_bits(plan(ids_of<Index>({1}, {2})), std::vector<float>(dim == 0 ? 2 : 2 * world().size(), 1.0F)));
  }
  texts.verify();
}

TEST_CASE("ids that differ between the ranks are found under TARTAN_CHECKS=collective") {
  const int n = world().size();
  const ChecksScope checked(Checks::collective);
  for (const int dim : {0, 1}) {
    const Tensor<float> shard(Shape{3, 2}, 1.0F);
    const TensorParallelEmbedding<float> plan(shard, {.tp_group = world(), .sharding_dim = dim});
    CHECK(plan(ids_of<Index>({2}, {0, 2})).elements() == 2 * (dim == 0 ? 2 : 2 * n));
    for (int culprit = 0; n > 1 && culprit < n; ++culprit) {
      for (const Index other : {Index{1}, Index{-1}}) {
        const auto text = error_text([&] { plan(ids_of<Index>({2}, {0, world().rank() == culprit ? other : 2})); });
        CHECK(contains(text, "the copies of a tensor differ along a Replicate axis"));
      }
    }
  }
}

}  // namespace
}  // namespace tartan
