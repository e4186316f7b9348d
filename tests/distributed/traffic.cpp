// How much moves send. That it is what Redistribution announces is checked with every move in moves.hpp.

#include <limits>
#include <numeric>

#include <tartan/base/random.hpp>

#include "distributed/moves.hpp"
#include "support/error_text.hpp"
#include "support/pmpi.hpp"

namespace tartan {
namespace {

using namespace testing;

/// The least that any order of one-axis moves sends, each in any nesting; nothing where no order is legal.
std::optional<Index> least_sent(const Distribution& from, const Distribution& to) {
  std::optional<Index> least;
  if (from == to) least = 0;
  std::vector<int> nesting(from.placements().size());
  for (int axis = 0; axis < from.grid().axes(); ++axis) {
    if (from.placement(axis) == to.placement(axis)) continue;
    auto placements = from.placements();
    placements[static_cast<std::size_t>(axis)] = to.placement(axis);
    std::vector<Distribution> seen;
    std::iota(nesting.begin(), nesting.end(), 0);
    do {
      const auto next = from.with(placements, {.nesting = nesting});
      if (std::ranges::find(seen, next) != seen.end()) continue;
      seen.push_back(next);
      const Redistribution step(from, next);
      if (step.to_string() == "transfer") continue;
      if (const auto rest = least_sent(next, to)) {
        least = std::min(least.value_or(std::numeric_limits<Index>::max()), step.elements_sent() + *rest);
      }
    } while (std::ranges::next_permutation(nesting).found);
  }
  return least;
}

/// This rank's share of `pairs`: each is pure arithmetic.
void check_least(const std::vector<std::pair<Distribution, Distribution>>& pairs) {
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (static_cast<int>(i) % world().size() != world().rank()) continue;
    const auto& [from, to] = pairs[i];
    const Redistribution move(from, to);
    INFO(from.to_string() << " -> " << to.to_string() << " by " << move.to_string());
    const auto least = least_sent(from, to);
    CHECK((move.to_string() != "transfer") == least.has_value());
    if (least) CHECK(move.elements_sent() <= *least);
  }
}

TEST_CASE("no order of one-axis moves sends less: all pairs on two axes") {
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    std::vector<std::pair<Distribution, Distribution>> pairs;
    for (const auto& from : all_placements(2, 2)) {
      for (const auto& to : all_placements(2, 2)) {
        pairs.emplace_back(Distribution(topology, {5, 7}, from), Distribution(topology, {5, 7}, to));
      }
    }
    check_least(pairs);
  }
}

TEST_CASE("no order of one-axis moves sends less: fixed random pairs on three axes") {
  const RandomStream stream(1, "orders");
  Index drawn = 0;
  const auto choices = all_placements(3, 3);
  const auto draw = [&] { return choices[static_cast<std::size_t>(stream.below(drawn++, std::ssize(choices)))]; };
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    std::vector<std::pair<Distribution, Distribution>> pairs;
    for (int trial = 0; trial < 300; ++trial) {
      pairs.emplace_back(Distribution(topology, {3, 8, 5}, draw()),
                         Distribution(topology, {3, 8, 5}, draw(), {.nesting = {2, 0, 1}}));
    }
    check_least(pairs);
  }
}

TEST_CASE("the sixteen moves are one collective each, or none") {
  const int n = world().size();
  if (n == 1) return;
  const auto topology = Partition(world()).cartesian({n});
  const auto names = [&](const Placement& from, const Placement& to) {
    const auto x = laid_out<double>(Distribution(topology, {9, 5}, {from}));
    const CommRecorder recorder;
    redistribute(x, {to});
    std::string text;
    for (const auto& record : recorder.records())
      text += std::string(text.empty() ? "" : " ") + to_string(record.collective);
    return text;
  };
  const std::vector<Placement> kinds{Shard{0}, Replicate{}, Partial{}, Root{}};
  const std::vector<std::vector<std::string>> table{{"", "all_gather", "", "gather"},
                                                    {"", "", "", ""},
                                                    {"reduce_scatter", "all_reduce", "", "reduce"},
                                                    {"scatter", "broadcast", "", ""}};
  for (std::size_t a = 0; a < 4; ++a) {
    for (std::size_t b = 0; b < 4; ++b) {
      INFO(kinds[a].to_string() << " -> " << kinds[b].to_string());
      CHECK(names(kinds[a], kinds[b]) == table[a][b]);
    }
  }
  CHECK(names(Shard{0}, Shard{1}) == "all_to_all");
  CHECK(names(Shard{1}, Shard{0}) == "all_to_all");
}

TEST_CASE("MPI is asked to carry the bytes that the recorder counts") {
  const auto topology = Partition(world()).cartesian({1, world().size()});
  for (const auto& from : all_placements(2, 2)) {
    for (const auto& to : all_placements(2, 2)) {
      const auto x = laid_out<double>(Distribution(topology, {9, 5}, from));
      const Redistribution move(x.distribution(), x.distribution().with(to));
      INFO(x.distribution().to_string() << " -> " << move.range().to_string());
      const CommRecorder recorder;
      const MpiCounter counter;
      move.forward(x);
      const auto bytes = counter.collectives().bytes + counter.messages().bytes;
      CHECK(bytes == recorder.bytes());
    }
  }
}

TEST_CASE("absurd extents move where nothing moves, and are refused where what moves cannot be counted") {
  constexpr Index greatest = std::numeric_limits<Index>::max();
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n});
  for (const auto& from : all_placements(1, 3)) {
    for (const auto& to : all_placements(1, 3)) {
      const auto x = DistributedTensor<float>::zeros(Distribution(topology, {greatest, 2, 0}, from));
      CHECK(redistribute(x, to).local().elements() == 0);
      CHECK(Redistribution(x.distribution(), x.distribution().with(to)).elements_sent() == 0);
    }
  }
  if (n < 3) return;
  const std::string refusal = "does not fit 64 bits";
  const Shape huge{Index{1} << 62};
  const auto refused = [&](const CartesianTopology& target, const Placement& from, const Placement& to) {
    return contains(error_text([&] {
                      Redistribution({topology, huge, {from}}, {target, huge, {to}}).elements_sent();
                    }),
                    refusal);
  };
  CHECK(refused(topology, Partial{}, Replicate{}));
  CHECK(refused(topology, Shard{0}, Replicate{}));
  CHECK(refused(topology, Root{}, Replicate{}));
  CHECK(!refused(topology, Replicate{}, Shard{0}));
  std::vector<int> turned(static_cast<std::size_t>(n));
  for (int r = 0; r < n; ++r) turned[static_cast<std::size_t>(r)] = (r + 1) % n;
  CHECK(refused(Partition(world()).subset(turned).cartesian({n}), Root{}, Replicate{}));
}

TEST_CASE("moves on axes of extent 1 and moves to the same placement communicate nothing") {
  const auto topology = Partition(world()).cartesian({1, world().size(), 1});
  const CommRecorder recorder;
  for (const auto& from : all_placements(2, 2)) {
    const auto x = laid_out<double>(Distribution(topology, {9, 5}, {from[0], Shard{1}, from[1]}));
    for (const auto& to : all_placements(2, 2)) {
      if (to[1].is_shard(1) != from[1].is_shard(1)) continue;
      const auto moved = redistribute(x, {to[0], Shard{1}, to[1]});
      CHECK(moved.local().data() == x.local().data());
      CHECK(moved.distribution().placement(0) == to[0]);
    }
  }
  CHECK(recorder.records().empty());
}

}  // namespace
}  // namespace tartan
