#include <algorithm>
#include <string>
#include <utility>

#include "comm/data.hpp"
#include "support/catch.hpp"
#include "support/world.hpp"

namespace tartan::testing {
namespace {

template <class T>
T fold(Reduction reduction, int ranks, Index i) {
  auto result = static_cast<Accumulator<T>>(value<T>(0, i));
  for (int r = 1; r < ranks; ++r) {
    const auto next = static_cast<Accumulator<T>>(value<T>(r, i));
    result = reduction == Reduction::sum   ? result + next
             : reduction == Reduction::max ? std::max(result, next)
                                           : std::min(result, next);
  }
  return static_cast<T>(result);
}

template <class T>
std::vector<T> folded(Reduction reduction, int ranks, Index n, Index first = 0) {
  auto result = zeros<T>(n);
  for (Index i = 0; i < n; ++i) result[static_cast<std::size_t>(i)] = fold<T>(reduction, ranks, first + i);
  return result;
}

/// Everyone's values, rank after rank.
template <class T>
std::vector<T> gathered(const std::vector<Index>& counts) {
  std::vector<T> result;
  for (std::size_t r = 0; r < counts.size(); ++r) {
    const auto part = values<T>(static_cast<Index>(r), counts[r]);
    result.insert(result.end(), part.begin(), part.end());
  }
  return result;
}

Index offset(const std::vector<Index>& counts, int rank) {
  return total(std::span(counts).first(static_cast<std::size_t>(rank)));
}

template <class F>
void for_each_case(F body) {
  for (const Index bytes : chunk_sizes()) {
    const ChunkScope chunks(bytes);
    for (const auto& [name, counts] : count_patterns(world().size())) {
      CAPTURE(bytes, name);
      body(counts, counts[static_cast<std::size_t>(world().rank())]);
    }
  }
}

constexpr Index lengths[] = {0, 1, 5, 700};

}  // namespace

TEMPLATE_TEST_CASE("broadcast gives the root's data to every rank", "", float, double, bfloat16, half, std::int32_t,
                   std::int64_t, std::byte) {
  using T = TestType;
  for (const Index bytes : chunk_sizes()) {
    const ChunkScope chunks(bytes);
    for (int root = 0; root < world().size(); ++root) {
      for (const Index n : lengths) {
        auto data = values<T>(world().rank(), n);
        world().broadcast(std::span(data), root);
        CHECK(data == values<T>(root, n));
      }
    }
  }
}

TEMPLATE_TEST_CASE("reductions combine every rank's element", "", float, double, bfloat16, half, std::int32_t,
                   std::int64_t) {
  using T = TestType;
  const int ranks = world().size();
  for (const Index bytes : chunk_sizes()) {
    const ChunkScope chunks(bytes);
    for (const Reduction reduction : {Reduction::sum, Reduction::max, Reduction::min}) {
      for (const Index n : lengths) {
        const auto mine = values<T>(world().rank(), n);
        const auto expected = folded<T>(reduction, ranks, n);

        auto all = zeros<T>(n);
        world().all_reduce(in(mine), std::span(all), reduction);
        CHECK(all == expected);

        auto same = mine;
        world().all_reduce(in(same), std::span(same), reduction);
        CHECK(same == expected);

        for (int root = 0; root < ranks; ++root) {
          const bool is_root = world().rank() == root;
          auto at_root = zeros<T>(is_root ? n : 0);
          world().reduce(in(mine), std::span(at_root), root, reduction);
          CHECK(at_root == (is_root ? expected : std::vector<T>{}));

          auto in_place = mine;
          world().reduce(in(in_place), std::span(in_place), root, reduction);
          CHECK(in_place == (is_root ? expected : mine));
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("gather and scatter are each other's inverse", "", float, double, bfloat16, half, std::int32_t,
                   std::int64_t, std::byte) {
  using T = TestType;
  for_each_case([](const std::vector<Index>& counts, Index count) {
    const auto mine = values<T>(world().rank(), count);
    const auto whole = gathered<T>(counts);
    for (int root = 0; root < world().size(); ++root) {
      const bool is_root = world().rank() == root;
      auto all = zeros<T>(is_root ? total(counts) : 0);
      world().gather(in(mine), std::span(all), counts, root);
      CHECK(all == (is_root ? whole : std::vector<T>{}));

      auto part = zeros<T>(count);
      world().scatter(in(all), std::span(part), counts, root);
      CHECK(part == mine);
    }
  });
}

TEMPLATE_TEST_CASE("the root's own part may lie in the whole", "", float, std::int64_t) {
  using T = TestType;
  for_each_case([](const std::vector<Index>& counts, Index count) {
    const auto mine = values<T>(world().rank(), count);
    for (int root = 0; root < world().size(); ++root) {
      const bool is_root = world().rank() == root;
      auto all = zeros<T>(total(counts));
      const auto own = std::span(all).subspan(static_cast<std::size_t>(offset(counts, world().rank())), mine.size());
      std::ranges::copy(mine, own.begin());
      world().gather(std::span<const T>(own), std::span(all), counts, root);
      if (is_root) CHECK(all == gathered<T>(counts));
      world().scatter(in(all), own, counts, root);
      CHECK(std::ranges::equal(own, mine));
      if (is_root) CHECK(all == gathered<T>(counts));
    }
  });
}

TEMPLATE_TEST_CASE("all_gather is gather to every rank", "", float, double, std::int32_t, std::int64_t, std::byte) {
  using T = TestType;
  for_each_case([](const std::vector<Index>& counts, Index count) {
    const auto mine = values<T>(world().rank(), count);
    auto all = zeros<T>(total(counts));
    world().all_gather(in(mine), std::span(all), counts);
    CHECK(all == gathered<T>(counts));

    auto in_place = zeros<T>(total(counts));
    const auto own = std::span(in_place).subspan(static_cast<std::size_t>(offset(counts, world().rank())), mine.size());
    std::ranges::copy(mine, own.begin());
    world().all_gather(std::span<const T>(own), std::span(in_place), counts);
    CHECK(in_place == gathered<T>(counts));
  });
}

TEMPLATE_TEST_CASE("reduce_scatter cuts the sum", "", float, double, bfloat16, half, std::int32_t, std::int64_t) {
  using T = TestType;
  for_each_case([](const std::vector<Index>& counts, Index count) {
    const auto all = values<T>(world().rank(), total(counts));
    auto mine = zeros<T>(count);
    world().reduce_scatter(in(all), std::span(mine), counts);
    CHECK(mine == folded<T>(Reduction::sum, world().size(), count, offset(counts, world().rank())));
    CHECK(all == values<T>(world().rank(), total(counts)));
  });
}

TEMPLATE_TEST_CASE("all_to_all brings each piece to its rank", "", float, double, bfloat16, half, std::int32_t,
                   std::int64_t, std::byte) {
  using T = TestType;
  const int ranks = world().size();
  const int rank = world().rank();
  for (const Index bytes : chunk_sizes()) {
    const ChunkScope chunks(bytes);
    for (const Index scale : {0, 1, 61}) {
      const auto count = [&](int from, int to) { return scale * ((3 * from + 5 * to + from * to) % 7); };
      Index largest = 0;
      std::vector<Index> sends, receives;
      std::vector<T> out, expected;
      for (int peer = 0; peer < ranks; ++peer) {
        sends.push_back(count(rank, peer));
        receives.push_back(count(peer, rank));
        const auto leaves = values<T>(rank * 16 + peer, sends.back());
        const auto comes = values<T>(peer * 16 + rank, receives.back());
        out.insert(out.end(), leaves.begin(), leaves.end());
        expected.insert(expected.end(), comes.begin(), comes.end());
        for (int other = 0; other < ranks; ++other) largest = std::max(largest, count(peer, other));
      }
      std::vector<T> received(expected.size());
      world().all_to_all(in(out), sends, std::span(received), receives, largest);
      CHECK(received == expected);
    }
    for (const Index count : {0, 1, 211}) {
      std::vector<T> out, expected;
      for (int peer = 0; peer < ranks; ++peer) {
        const auto leaves = values<T>(rank * 16 + peer, count);
        const auto comes = values<T>(peer * 16 + rank, count);
        out.insert(out.end(), leaves.begin(), leaves.end());
        expected.insert(expected.end(), comes.begin(), comes.end());
      }
      std::vector<T> received(expected.size());
      world().all_to_all(in(out), std::span(received), count);
      CHECK(received == expected);
    }
  }
}

TEST_CASE("sizes that contradict each other are an error before anything is sent") {
  const int ranks = world().size();
  std::vector<float> data(4), out(3);
  const std::vector<Index> counts(static_cast<std::size_t>(ranks), 4);
  const std::vector<Index> too_many(static_cast<std::size_t>(ranks) + 1, 4);
  auto negative = counts;
  negative.back() = -1;
  CHECK_THROWS_WITH(world().broadcast(std::span(data), ranks),
                    "broadcast on \"world\": root " + std::to_string(ranks) + " is not below " + std::to_string(ranks));
  CHECK_THROWS_AS(world().broadcast(std::span(data), -1), Error);
  CHECK_THROWS_WITH(
      world().all_reduce(in(data), std::span(out)),
      "all_reduce on \"world\", rank " + std::to_string(world().rank()) + ": the output has 3 elements, expected 4");
  CHECK_THROWS_AS(world().all_gather(in(data), std::span(out), counts), Error);
  CHECK_THROWS_AS(world().all_gather(in(out), std::span(out), counts), Error);
  CHECK_THROWS_WITH(
      world().gather(in(data), std::span(out), too_many, 0),
      "gather on \"world\": " + std::to_string(ranks + 1) + " counts for " + std::to_string(ranks) + " ranks");
  CHECK_THROWS_WITH(world().scatter(in(data), std::span(data), negative, 0),
                    "scatter on \"world\": the count of rank " + std::to_string(ranks - 1) + " is -1");
  std::vector<float> whole(4 * static_cast<std::size_t>(ranks));
  CHECK_THROWS_AS(world().all_to_all(in(whole), counts, std::span(whole), counts, 3), Error);
  CHECK_THROWS_AS(world().all_to_all(in(whole), std::span(data), ranks == 1 ? 5 : 4), Error);
  CHECK_THROWS_AS(set_chunk_bytes(0), Error);
  world().barrier();
}

}  // namespace tartan::testing
