// redistribute_together against a redistribute() of each tensor.

#include <algorithm>

#include "distributed/moves.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

template <class T>
bool same_elements(const DistributedTensor<T>& a, const DistributedTensor<T>& b) {
  return a.distribution() == b.distribution() && a.local().shape() == b.local().shape() &&
         std::ranges::equal(a.local().span(), b.local().span());
}

/// Records of collectives between more than one rank.
template <class Call>
Index records_of(Call call) {
  const CommRecorder recorder;
  call();
  return std::ranges::count_if(recorder.records(), [](const auto& record) { return record.size > 1; });
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all{{7, 3}, {2, 5}, {1, 1}, {13, 2}, {0, 3}};
  return all;
}

/// What moves along one axis, of which only rows are cut, and communicates.
bool goes_together(Placement from, Placement to) {
  if (from == to || from.is_shard(1) || to.is_shard(1) || from.is_replicate()) return false;
  return !to.is_partial();
}

TEST_CASE("tensors that move together arrive as they do alone, in one message where they go the same way") {
  const Partition all(world());
  auto grids = factorisations(world().size(), 2);
  for (const auto& grid : grids) {
    const auto topology = all.cartesian(grid);
    for (const auto& from : all_placements(2, 2)) {
      for (const auto& to : all_placements(2, 2)) {
        const std::vector<int> nesting = from[0].is_shard() ? std::vector<int>{1, 0} : std::vector<int>{0, 1};
        std::vector<DistributedTensor<double>> xs;
        std::vector<Distribution> targets;
        Numbers numbers{1, 1};
        for (const auto& shape : shapes()) {
          xs.push_back(laid_out<double>({topology, shape, from, {.nesting = nesting, .block_extents = {}}}, numbers));
          targets.push_back({topology, shape, to, {.nesting = nesting, .block_extents = {}}});
          numbers.offset += 100;
        }
        INFO(xs[0].distribution().to_string() << " -> " << targets[0].to_string());
        std::vector<DistributedTensor<double>> apart;
        std::vector<DistributedTensor<double>> ys;
        const auto one_by_one = records_of([&] {
          for (std::size_t f = 0; f < xs.size(); ++f) apart.push_back(redistribute(xs[f], targets[f]));
        });
        const auto together = records_of([&] { ys = redistribute_together(xs, targets); });
        for (std::size_t f = 0; f < xs.size(); ++f) CHECK(same_elements(ys[f], apart[f]));
        CHECK(together <= one_by_one);
        const bool first = grid[0] > 1 && from[0] != to[0], second = grid[1] > 1 && from[1] != to[1];
        const bool cells = Redistribution(xs[0].distribution(), targets[0]).to_string().starts_with("axis");
        if (first != second && cells && one_by_one == std::ssize(xs)) {
          const bool bundled = first ? goes_together(from[0], to[0]) : goes_together(from[1], to[1]);
          CHECK(together == (bundled ? 1 : one_by_one));
        }
      }
    }
  }
}

TEST_CASE("tensors of several ways, sizes, topologies and blocks move in one call") {
  const int n = world().size();
  const Partition all(world());
  const auto line = all.cartesian({n});
  const auto other = all.first((n + 1) / 2).cartesian({(n + 1) / 2});
  std::vector<Index> uneven(static_cast<std::size_t>(n), 0);
  uneven.back() = 9;
  const Distribution all_on_last(line, {9, 2}, {Shard{0}}, {.nesting = {}, .block_extents = {{0, uneven}}});
  struct Move {
    Distribution from;
    Distribution to;
  };
  const std::vector<Move> moves{
      {{line, {5}, {Root{}}}, {line, {5}, {Replicate{}}}},
      {{line, {300, 300}, {Root{}}}, {line, {300, 300}, {Replicate{}}}},  // too large to wait for others
      {{line, {}, {Partial{}}}, {line, {}, {Replicate{}}}},
      {all_on_last, {line, {9, 2}, {Replicate{}}}},
      {{other, {4}, {Root{}}}, {other, {4}, {Replicate{}}}},
      {{line, {4}, {Shard{0}}}, {other, {4}, {Replicate{}}}},
      {{line, {4, 2}, {Shard{0}}}, {line, {4, 2}, {Replicate{}}}},
      {{line, {3}, {Root{}}}, {line, {3}, {Replicate{}}}},
      {{line, {6}, {Partial{}}}, {line, {6}, {Replicate{}}}},
      {{line, {6}, {Replicate{}}}, {line, {6}, {Replicate{}}}},
      {{other, {7, 2}, {Root{}}}, {other, {7, 2}, {Replicate{}}}},
  };
  std::vector<DistributedTensor<float>> xs;
  std::vector<Distribution> targets;
  for (const auto& [from, to] : moves) {
    xs.push_back(laid_out<float>(from, {1, std::ssize(xs)}));
    targets.push_back(to);
  }
  std::vector<DistributedTensor<float>> ys;
  const auto records = records_of([&] { ys = redistribute_together(xs, targets); });
  for (std::size_t f = 0; f < moves.size(); ++f) {
    INFO(moves[f].from.to_string());
    CHECK(same_elements(ys[f], redistribute(xs[f], targets[f])));
  }
  // Root twice, the large one, Partial twice, Shard(0) twice, Root elsewhere twice, a Transfer.
  if (n > 1) CHECK(records == 5 + (other.active() && other.size() > 1 ? 1 : 0));
  CHECK(redistribute_together(std::vector<DistributedTensor<float>>{}, {}).empty());
  CHECK(contains(error_text([&] { redistribute_together(xs, {}); }), "11 tensors cannot take 0 distributions"));
}

}  // namespace
}  // namespace tartan
