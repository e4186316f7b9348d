// Bags: where bags and their ids lie, what is sent to bring them there, and what is refused.

#include <chrono>
#include <thread>

#include <tartan/comm/recorder.hpp>

#include "autograd/logical.hpp"
#include "nn/bag_oracle.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

/// This rank has whole bags of the batch, with all of their ids and no others.
template <class I>
void check_bags(const Bags<I>& bags, const BagBatch& batch) {
  const auto& topology = bags.distribution().topology();
  CHECK(bags.distribution().shape() == Shape{batch.bags()});
  CHECK(same_bits(bags.ids(), std::vector<I>(batch.ids.begin(), batch.ids.end())));
  const auto mine = bags.distribution().box(topology.rank())[0];
  REQUIRE(std::ssize(bags.offsets()) == mine.extent() + 1);
  const Index length = batch.length < 0 ? 1 : batch.length;
  const Index first = bags.ids().box()[0].begin * length;
  for (Index b = 0; b < mine.extent(); ++b) {
    CHECK(bags.offsets()[static_cast<std::size_t>(b)] + first ==
          batch.offsets[static_cast<std::size_t>(mine.begin + b)]);
  }
  CHECK(bags.offsets().back() == bags.ids().local().elements());
}

TEST_CASE("bags lie whole on a rank, in every form, also where ranks are inactive") {
  const int n = world().size();
  for (const int active : {n, std::max(1, n - 1)}) {
    for (const auto& grid : factorisations(active, 2)) {
      const auto topology = Partition(world()).first(active).cartesian(grid);
      for (const auto form : {BagForm::rows, BagForm::offsets, BagForm::include_last, BagForm::local}) {
        for (const bool split : {true, false}) {
          for (const auto& batch : bag_batches(form, 13)) {
            INFO("form " << static_cast<int>(form) << ", " << batch.bags() << " bags on " << grid.to_string());
            const auto bags = placed_bags<std::int32_t>(topology, batch, form, split);
            check_bags(bags, batch);
            CHECK(bags.distribution().placement(0) == (split ? Placement{Shard{0}} : Placement{Replicate{}}));
            CHECK(bags.distribution().placement(1) == Replicate{});
          }
        }
      }
    }
  }
}

TEST_CASE("ids come to their bags from wherever they lie") {
  const auto batch = BagBatch::of_lengths({2, 0, 5, 1, 3, 0, 4}, 13);
  auto begins = batch.offsets;
  begins.pop_back();
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& from : all_placements(2, 1)) {
      for (const auto& to : all_placements(2, 1)) {
        const Distribution d(topology, {15}, from);
        const Distribution o(topology, {7}, to);
        const auto ids = placed_ids<Index>(d, batch.ids);
        const auto offsets = placed_ids<Index>(o, begins);
        if (d.any(Placement::Kind::partial) || o.any(Placement::Kind::partial) || o.axes_of(0).size() > 1) {
          CHECK(error_text([&] { Bags<Index>(ids, offsets); }) != "no error");
        } else {
          INFO(d.to_string() << " to the bags of " << o.to_string());
          check_bags(Bags<Index>(ids, offsets), batch);
        }
      }
    }
  }
}

TEST_CASE("ids that lie with their bags do not move") {
  const auto batch = BagBatch::of_lengths({0, 2, 5, 1, 3, 0, 4}, 13);
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    const auto calls = [&](const auto& make) {
      std::map<Collective, Index> counts;
      const CommRecorder recorder;
      make();
      for (const auto& record : recorder.records()) {
        if (record.size > 1) ++counts[record.collective];
      }
      return counts;
    };
    using Calls = std::map<Collective, Index>;
    const bool several = world().size() > 1;
    const Calls one_gather = several ? Calls{{Collective::all_gather, 1}, {Collective::agreement, 1}} : Calls{};
    std::optional<Bags<Index>> bags;
    CHECK(calls([&] { bags = placed_bags<Index>(topology, batch, BagForm::local, true); }) == one_gather);
    auto begins = batch.offsets;
    begins.pop_back();
    const auto offsets = placed_ids<Index>(bags->distribution(), begins);
    CHECK(calls([&] { Bags<Index>(bags->ids(), offsets); }) == (grid[0] > 1 ? one_gather : Calls{}));
    const auto whole = placed_ids<Index>({topology, {15}, {Replicate{}, Replicate{}}}, batch.ids);
    CHECK(calls([&] {
            Bags<Index>(whole, placed_ids<Index>({topology, {7}, {Replicate{}, Replicate{}}}, begins));
          }).empty());
    CHECK(calls([&] { placed_bags<Index>(topology, BagBatch::of_rows(5, 3, 13), BagForm::rows, true); }).empty());
  }
}

TEST_CASE("offsets out of order are an error on every rank that names position and bound") {
  struct Wrong {
    std::size_t position;
    Index value;
    std::string what;
    bool include_last = false;
  };
  const BagBatch batch = BagBatch::of_lengths({2, 0, 5, 1, 3, 0, 4, 1}, 13);  // offsets 0 2 2 7 8 11 11 15 (16)
  const std::vector<Wrong> all{
      {0, 1, "is the first, which must be 0"},
      {0, -1, "offset -1 at position (0) of the offsets on rank "},
      {7, 17, "offset 17 at position (7)"},
      {7, 10, "offset 10 at position (7)"},
      {4, 1, "is less than the one before it, 7"},
      {3, 9, "is less than the one before it, 9"},
      {5, -3, "offset -3 at position (5)"},
      {2, 100, "offset 100 at position (2)"},
      {8, 15, "which with include_last_offset must be the number of ids, 16", true},
      {8, 17, "is beyond the end of the ids, which is at 16", true},
  };
  const auto& world_of = world();
  for (const auto& grid : factorisations(world_of.size(), 2)) {
    const auto topology = Partition(world_of).cartesian(grid);
    for (const bool split : {true, false}) {
      for (const auto& wrong : all) {
        auto list = batch.offsets;
        if (!wrong.include_last) list.pop_back();
        list[wrong.position] = wrong.value;
        const Placements placements{split ? Placement{Shard{0}} : Placement{Replicate{}}, Replicate{}};
        const auto ids = placed_ids<Index>({topology, {16}, placements}, batch.ids);
        const auto offsets = placed_ids<Index>({topology, {std::ssize(list)}, placements}, list);
        const auto culprits = offsets.box()[0];
        const auto position = static_cast<Index>(wrong.position);
        if (culprits.contains(position) && position % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds{1});
        const auto text = error_text([&] { Bags<Index>(ids, offsets, wrong.include_last); });
        INFO(text << " on " << grid.to_string());
        CHECK(contains(text, wrong.what));
      }
    }
  }
}

TEST_CASE("a part with offsets out of order is an error on every rank, whichever gives it") {
  const int n = world().size();
  for (const auto& grid : factorisations(n, 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (Index culprit = 0; culprit < grid[0]; ++culprit) {
      const bool mine = topology.coordinates()[0] == culprit;
      const auto text = [&](std::vector<Index> offsets, Index count, bool include_last = false) {
        if (!mine) offsets = include_last ? std::vector<Index>{0, 2} : std::vector<Index>{0};
        const Tensor<Index> ids(Shape{mine ? count : 2}, 1);
        return error_text([&] {
          Bags<Index>::from_local(topology, 0, ids, Tensor<Index>::from(Shape{std::ssize(offsets)}, offsets),
                                  include_last);
        });
      };
      CHECK(text({0, 3, 4}, 5) == "no error");
      CHECK(text({}, 0) == "no error");
      CHECK(contains(text({1}, 5), "offset 1 at position (0) of the offsets on rank"));
      CHECK(contains(text({0, 3, 2}, 5), "offset 2 at position (2)"));
      CHECK(contains(text({0, 6}, 5), "is beyond the end of the ids, which is at 5"));
      CHECK(contains(text({0, 4}, 5, true), "must be the number of ids, 5"));
      CHECK(contains(text({}, 5), "5 ids were given, but no offsets of bags that hold them"));
      CHECK(contains(text({}, 0, true), "at least one"));
    }
    if (grid[1] == 1) continue;
    const bool odd = topology.coordinates()[1] == 1;
    const auto text = error_text([&] {
      Bags<Index>::from_local(topology, 0, Tensor<Index>(Shape{odd ? 3 : 2}, 1), Tensor<Index>(Shape{1}, 0));
    });
    CHECK(contains(text, "gives 1 bags of 3 ids, and the first rank of part "));
    CHECK(contains(text, " of the batch 1 of 2, which are not the same: ranks load bags of their own along axis 0"));
    const auto same_number = error_text([&] {
      Bags<Index>::from_local(topology, 0, Tensor<Index>(Shape{2}, odd ? 1 : 2), Tensor<Index>(Shape{1}, 0));
    });
    CHECK(contains(same_number, " of the batch 1 of 2, which are not the same"));
  }
}

TEST_CASE("what are no bags is refused alike on every rank") {
  const auto topology = Partition(world()).cartesian({world().size(), 1});
  const Placements both{Replicate{}, Replicate{}};
  const auto of = [&](const Shape& shape, const Placements& placements) {
    return DistributedTensor<Index>::zeros({topology, shape, placements});
  };
  SameTexts texts;
  CHECK(contains(texts.of([&] { Bags<Index>(of({3}, both)); }), "bags are the rows of ids (B, L)"));
  CHECK(contains(texts.of([&] { Bags<Index>(of({2, 3}, {Shard{1}, Replicate{}})); }), "bags lie whole on a rank"));
  CHECK(contains(texts.of([&] { Bags<Index>(of({2, 3}, {Partial{}, Replicate{}})); }), "bags lie whole on a rank"));
  CHECK(contains(texts.of([&] { Bags<Index>(of({2, 3}, both), of({2}, both)); }), "of ids (N) and offsets (B)"));
  CHECK(contains(texts.of([&] { Bags<Index>(of({3}, both), of({0}, both)); }), "3 ids were given, but no offsets"));
  CHECK(contains(texts.of([&] { Bags<Index>(of({0}, both), of({0}, both), true); }), "at least one"));
  CHECK(contains(texts.of([&] { Bags<Index>::from_local(topology, 2, {}, {}); }), "axis 2 of a grid of 2 axes"));
  CHECK(texts.of([&] { Bags<Index>(of({0}, both), of({1}, both), true); }) == "no error");
  texts.verify();
}

TEST_CASE("what lies beside bags has their rows, and layers refuse bags made of other offsets than they are told") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n, 1, 1});
  const Index mine = world().rank() % 3;
  std::vector<Index> offsets;
  for (Index b = 0; b < mine; ++b) offsets.push_back(2 * b);
  const auto bags = Bags<Index>::from_local(topology, 0, Tensor<Index>(Shape{2 * mine}, 1),
                                            Tensor<Index>::from(Shape{mine}, offsets));
  const Index all = bags.distribution().shape()[0];
  const auto features = DistributedTensor<float>::from_local(bags.beside({all, 4}), Tensor<float>(Shape{mine, 4}, 1));
  CHECK(features.shape() == Shape{all, 4});
  CHECK(contains(error_text([&] { bags.beside({all + 1, 4}); }), "as many rows"));
  CHECK(contains(error_text([&] { bags.beside({}); }), "as many rows"));

  DistributedEmbeddingBag<float> layer(topology, {.num_embeddings = 5, .embedding_dim = 2},
                                       {.mode = BagMode::sum, .include_last_offset = true});
  CHECK(contains(error_text([&] { layer(bags); }), "is to include the last offset"));
  offsets.push_back(2 * mine);
  const auto with_last = Bags<Index>::from_local(topology, 0, Tensor<Index>(Shape{2 * mine}, 1),
                                                 Tensor<Index>::from(Shape{mine + 1}, offsets), true);
  CHECK(layer(with_last).shape() == Shape{all, 2});
  const Bags<Index> rows(DistributedTensor<Index>::zeros({topology, {3, 2}, {Shard{0}, Replicate{}, Replicate{}}}));
  CHECK(layer(rows).shape() == Shape{3, 2});
}

}  // namespace
}  // namespace tartan
