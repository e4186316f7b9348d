// Moves are planned once per topology and pair of distributions.

#include "partition/plan_cache.hpp"

#include <mpi.h>

#include <thread>

#include "distributed/moves.hpp"

namespace tartan {
namespace {

using namespace testing;

CartesianTopology line() { return Partition(world()).cartesian({world().size()}); }

PlanCache::Plan plan_of(const Distribution& from, const Distribution& to) {
  return from.topology().plans().find(from, to);
}

TEST_CASE("a move that is made again is not planned again") {
  const auto topology = line();
  const Distribution from(topology, {7, 5}, {Shard{0}});
  const Distribution to(topology, {7, 5}, {Replicate{}});
  CHECK(plan_of(from, to) == nullptr);
  const auto x = laid_out<double>(from);
  const auto first = redistribute(x, to);
  const auto plan = plan_of(from, to);
  REQUIRE(plan != nullptr);

  // A new plan would be found instead of the old one.
  auto into = DistributedTensor<float>::zeros(to);
  redistribute_into(laid_out<float>(Distribution(topology, {7, 5}, {Shard{0}})), into);
  const Redistribution planned(from, to);
  const auto again = redistribute(x, {Replicate{}});
  CHECK(plan_of(from, to) == plan);
  CHECK(plan_of(to, from) == nullptr);

  Sums sums;
  check_arrived(first, to, {}, "the first time", sums);
  check_arrived(again, to, {}, "again", sums);
  check_arrived(into, to, {}, "into a tensor", sums);
  sums.verify();
}

TEST_CASE("equal topologies have plans of their own, on communicators of their own") {
  const auto one = line();
  const auto other = line();
  REQUIRE(one == other);
  const auto from = [](const CartesianTopology& topology) { return Distribution(topology, {7, 5}, {Shard{0}}); };
  const auto to = [](const CartesianTopology& topology) { return Distribution(topology, {7, 5}, {Shard{1}}); };
  // Planning alone is one rank's own affair: were the plan found on the other topology, this rank would miss the rest.
  if (world().rank() == 0) {
    const Redistribution planned(from(one), to(one));
    const Redistribution across(from(one), to(other));
    CHECK(plan_of(from(one), to(one)) != plan_of(from(one), to(other)));
  }
  CHECK(plan_of(from(other), to(other)) == nullptr);
  CHECK(plan_of(from(other), to(one)) == nullptr);
  Sums sums;
  check_arrived(redistribute(laid_out<double>(from(other)), to(other)), to(other), {}, "on the other", sums);
  sums.verify();
  CHECK(plan_of(from(other), to(other)) != nullptr);
}

TEST_CASE("targets of one shape on other ranks are told apart") {
  const int n = world().size();
  const Partition all(world());
  const auto forwards = all.cartesian({n});
  std::vector<int> positions;
  for (int r = n; r-- > 0;) positions.push_back(r);
  const auto backwards = all.subset(positions).cartesian({n});
  const auto last = all.subset({n - 1}).cartesian({1});
  const auto x = laid_out<double>(Distribution(forwards, {7, 5}, {Shard{0}}));
  for (int pass = 0; pass < 2; ++pass) {
    Sums sums;
    for (const auto& topology : {forwards, backwards, last}) {
      const Distribution to(topology, {7, 5}, {Shard{0}});
      check_arrived(redistribute(x, to), to, {}, "to " + to.to_string(), sums);
    }
    sums.verify();
  }
}

TEST_CASE("equal distributions that differ in nesting or blocks have plans and results of their own") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({1, n});
  const Distribution from(topology, {7, 6}, {Replicate{}, Replicate{}});
  const std::vector<int> inner_first{1, 0};
  const Distribution plain(topology, {7, 6}, {Shard{0}, Shard{0}});
  const Distribution nested(topology, {7, 6}, {Shard{0}, Shard{0}}, {.nesting = inner_first});
  REQUIRE(plain == nested);
  const auto x = laid_out<double>(from);
  CHECK(redistribute(x, plain).distribution().nesting() != inner_first);
  CHECK(plan_of(from, nested) == nullptr);
  CHECK(redistribute(x, nested).distribution().nesting() == inner_first);

  std::vector<Index> extents(static_cast<std::size_t>(n));
  extents.back() = 7;
  const Distribution given(topology, {7, 6}, {Replicate{}, Shard{0}}, {.block_extents = {{1, extents}}});
  const Distribution balanced(topology, {7, 6}, {Replicate{}, Shard{0}});
  for (const auto& to : {balanced, given, balanced}) {
    const auto y = redistribute(x, to);
    CHECK(y.local().shape() == to.local_shape(topology.rank()));
    CHECK(redistribute(y, from).full_tensor()[41] == 42);
  }
}

TEST_CASE("the plans used last are kept") {
  const auto topology = line();
  const auto plan = [&](Index extent) {
    return Redistribution({topology, {extent}, {Shard{0}}}, {topology, {extent}, {Replicate{}}});
  };
  const auto known = [&](Index extent) {
    return plan_of({topology, {extent}, {Shard{0}}}, {topology, {extent}, {Replicate{}}}) != nullptr;
  };
  constexpr auto capacity = static_cast<Index>(PlanCache::capacity);
  for (Index extent = 1; extent <= capacity; ++extent) plan(extent);
  plan(1);
  plan(capacity + 1);
  CHECK(known(1));
  CHECK(!known(2));
  CHECK(known(capacity + 1));
}

TEST_CASE("what cannot be planned is refused each time") {
  const auto topology = line();
  for (int time = 0; time < 2; ++time) {
    CHECK_THROWS_AS(Redistribution({topology, {4}, {Shard{0}}}, {topology, {5}, {Shard{0}}}), Error);
  }
}

TEST_CASE("plans do not keep their topology") {
  int keyval = MPI_KEYVAL_INVALID;
  const auto freed = [](MPI_Comm, int, void* count, void*) {
    ++*static_cast<int*>(count);
    return MPI_SUCCESS;
  };
  MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, freed, &keyval, nullptr);
  int count = 0;
  const auto other = Partition(world()).subset({world().size() - 1}).cartesian({1});
  {
    const auto topology = line();
    MPI_Comm_set_attr(topology.axis(0).native(), keyval, &count);
    const auto x = laid_out<double>(Distribution(topology, {7, 5}, {Shard{0}}));
    redistribute(redistribute(x, {Replicate{}}), Distribution(other, {7, 5}, {Replicate{}}));
    redistribute(laid_out<double>(Distribution(other, {7, 5}, {Replicate{}})), x.distribution());
    CHECK(count == 0);
  }
  CHECK(count == 1);
  MPI_Comm_free_keyval(&keyval);
}

TEST_CASE("several threads may plan on one topology") {
  const auto topology = line();
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (auto& text : texts) {
    threads.emplace_back([&] {
      for (Index i = 0; i < 200; ++i) {
        const Index extent = 1 + i % 40;
        text = Redistribution({topology, {extent}, {Shard{0}}}, {topology, {extent}, {Replicate{}}}).to_string();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& text : texts)
    CHECK(text == (world().size() == 1 ? "nothing moves" : "axis 0: Shard(0) -> Replicate"));
}

}  // namespace
}  // namespace tartan
