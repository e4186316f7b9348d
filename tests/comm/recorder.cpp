#include <tartan/comm/recorder.hpp>

#include <algorithm>
#include <functional>

#include <tartan/comm/agreement.hpp>

#include "comm/data.hpp"
#include "support/catch.hpp"
#include "support/pmpi.hpp"
#include "support/world.hpp"

namespace tartan::testing {
namespace {

struct Call {
  Collective collective;
  Index payload;  ///< of all ranks together, in bytes
  std::function<void()> run;
};

/// Every collective once, on doubles; counts are even or uneven, roots not 0 where there is another.
std::vector<Call> calls(const std::vector<Index>& counts) {
  const Index others = world().size() - 1;
  const Index n = total(counts);
  const int root = world().size() / 2;
  const Index own = counts[static_cast<std::size_t>(world().rank())];
  const Index at_root = counts[static_cast<std::size_t>(root)];
  const auto mine = values<double>(world().rank(), own);
  const auto all = values<double>(world().rank(), n);
  auto part = mine;
  auto whole = all;
  return {
      {Collective::barrier, 0, [] { world().barrier(); }},
      {Collective::broadcast, others * n * 8, [=]() mutable { world().broadcast(std::span(whole), root); }},
      {Collective::reduce, others * n * 8, [=]() mutable { world().reduce(in(all), std::span(whole), root); }},
      {Collective::all_reduce, 2 * others * n * 8, [=]() mutable { world().all_reduce(in(all), std::span(whole)); }},
      {Collective::gather, (n - at_root) * 8,
       [=]() mutable { world().gather(in(mine), std::span(whole), counts, root); }},
      {Collective::scatter, (n - at_root) * 8,
       [=]() mutable { world().scatter(in(all), std::span(part), counts, root); }},
      {Collective::all_gather, others * n * 8,
       [=]() mutable { world().all_gather(in(mine), std::span(whole), counts); }},
      {Collective::reduce_scatter, others * n * 8,
       [=]() mutable { world().reduce_scatter(in(all), std::span(part), counts); }},
      {Collective::all_to_all, others * n * 8,
       [=] {
         const std::vector<Index> received(counts.size(), own);
         auto into = zeros<double>(total(received));
         world().all_to_all(in(all), counts, std::span(into), received, std::ranges::max(counts));
       }},
  };
}

Index sum_over_ranks(Index mine) {
  Index sum = 0;
  world().all_reduce(std::span<const Index>(&mine, 1), std::span(&sum, 1));
  return sum;
}

}  // namespace

TEST_CASE("one record per call, with this rank's share of the payload, as MPI sees it") {
  const bool alone = world().size() == 1;
  for (const auto& [name, counts] : count_patterns(world().size())) {
    for (const auto& call : calls(counts)) {
      CAPTURE(name, to_string(call.collective));
      const MpiCounter mpi;
      CommRecorder recorder;
      call.run();
      REQUIRE(recorder.records().size() == 1);
      const CommRecord record = recorder.records().front();
      CHECK(record.collective == call.collective);
      CHECK(record.communicator == "world");
      CHECK(record.size == world().size());
      CHECK_FALSE(record.backward);
      CHECK(recorder.bytes() == record.bytes);
      CHECK(recorder.count(call.collective) == (alone ? 0 : 1));
      CHECK(recorder.count() == (alone ? 0 : 1));
      CHECK(mpi.traffic(call.collective) == MpiTraffic{recorder.count(), recorder.bytes()});
      CHECK(mpi.collectives() == mpi.traffic(call.collective));
      CHECK(mpi.messages() == MpiTraffic{});
      CHECK(sum_over_ranks(record.bytes) == call.payload);
    }
  }
}

TEST_CASE("a chunked call is recorded once, with the same payload") {
  const auto counts = count_patterns(world().size()).back().counts;
  for (const auto& call : calls(counts)) {
    CAPTURE(to_string(call.collective));
    CommRecorder whole;
    call.run();
    const ChunkScope chunks(1024);
    const MpiCounter mpi;
    CommRecorder chunked;
    call.run();
    CHECK(chunked.records().size() == 1);
    CHECK(whole.records().size() == 2);
    CHECK(chunked.bytes() * 2 == whole.bytes());
    CHECK(mpi.messages().bytes + mpi.collectives().bytes == chunked.bytes());
    if (world().size() > 1 && call.collective != Collective::barrier) {
      CHECK(sum_over_ranks(mpi.messages().calls + mpi.collectives().calls) > world().size());
    }
  }
}

TEST_CASE("recorders nest, clear and note backward passes") {
  CHECK_FALSE(recording());
  CommRecorder outer;
  CHECK(recording());
  world().barrier();
  {
    CommRecorder inner;
    const BackwardScope backward;
    world().barrier();
    { const BackwardScope again; }
    world().barrier();
    REQUIRE(inner.records().size() == 2);
    CHECK(inner.records()[0].backward);
    CHECK(inner.records()[1].backward);
  }
  world().barrier();
  REQUIRE(outer.records().size() == 4);
  CHECK_FALSE(outer.records()[0].backward);
  CHECK_FALSE(outer.records()[3].backward);
  outer.clear();
  CHECK(outer.records().empty());
  CHECK(outer.bytes() == 0);
}

TEST_CASE("agreements are counted, but are no traffic") {
  const Index messages = world().size() > 1 ? 1 : 0;
  const MpiCounter mpi;
  CommRecorder recorder;
  agree(world(), nullptr);
  same_on_all(world(), "the seed", "17");
  CHECK(recorder.count(Collective::agreement) == 2 * messages);
  CHECK(recorder.count() == 0);
  CHECK(recorder.bytes() == 0);
  for (const auto& record : recorder.records()) CHECK(record.bytes <= 16);
  CHECK(mpi.traffic(Collective::all_reduce).calls == 2 * messages);
  CHECK(mpi.collectives().calls == 2 * messages);
}

}  // namespace tartan::testing
