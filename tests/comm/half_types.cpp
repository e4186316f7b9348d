#include <cmath>
#include <limits>

#include <tartan/comm/recorder.hpp>

#include "comm/data.hpp"
#include "support/catch.hpp"
#include "support/pmpi.hpp"
#include "support/world.hpp"

namespace tartan::testing {
namespace {

/// The sum of every rank's `mine` in three ways: everywhere, at the last rank, and this rank's one of its elements.
template <class T>
struct Sums {
  explicit Sums(const std::vector<T>& mine) : everywhere(mine.size()), at_last(mine.size()) {
    world().all_reduce(in(mine), std::span(everywhere));
    world().reduce(in(mine), std::span(at_last), world().size() - 1);
    std::vector<Index> counts(static_cast<std::size_t>(world().size()));
    counts.front() = std::ssize(mine);
    scattered.resize(world().rank() == 0 ? mine.size() : 0);
    world().reduce_scatter(in(mine), std::span(scattered), counts);
  }

  void check(const std::vector<T>& expected) const {
    CHECK(everywhere == expected);
    if (world().rank() == world().size() - 1) CHECK(at_last == expected);
    if (world().rank() == 0) CHECK(scattered == expected);
  }

  std::vector<T> everywhere, at_last, scattered;
};

}  // namespace

TEMPLATE_TEST_CASE("sums of half numbers round once, not once per rank", "", bfloat16, half) {
  using T = TestType;
  // One unit of 256's last digit in pieces that are each less than half of it.
  const float whole = std::ldexp(1.0F, std::numeric_limits<T>::digits);
  const std::vector<T> mine(5, T(world().rank() == 0 ? whole : 0.9F));
  const float exact = whole + static_cast<float>(world().size() - 1) * static_cast<float>(T(0.9F));
  T by_rank = T(whole);
  for (int r = 1; r < world().size(); ++r) by_rank += T(0.9F);
  if (world().size() >= 3) REQUIRE(by_rank != T(exact));
  Sums<T>(mine).check(std::vector<T>(5, T(exact)));
}

TEMPLATE_TEST_CASE("half numbers are added in float, in the order of ranks", "", bfloat16, half) {
  using T = TestType;
  // 2^15 + 2^-24 is 2^15 in float.
  const float terms[] = {0x1p15F, 0x1p-24F, -0x1p15F, 0x1p-24F};
  float expected = terms[0];
  for (int r = 1; r < world().size(); ++r) expected += terms[r % 4];
  Sums<T>(std::vector<T>(3, T(terms[world().rank() % 4]))).check(std::vector<T>(3, T(expected)));
}

TEMPLATE_TEST_CASE("reductions of half types are recorded once, with 16 bits for each element", "", bfloat16, half) {
  using T = TestType;
  const int ranks = world().size();
  const Index others = ranks - 1;
  const int root = ranks / 2;
  const auto sum_over_ranks = [](Index mine) {
    Index sum = 0;
    world().all_reduce(std::span<const Index>(&mine, 1), std::span(&sum, 1));
    return sum;
  };
  for (const Index n : {Index{0}, Index{1}, Index{7}, Index{700}}) {
    CAPTURE(n);
    const auto mine = values<T>(world().rank(), n);
    auto out = zeros<T>(n);
    const auto check = [&](Collective collective, Index payload, Index messages, Collective second, auto call) {
      CAPTURE(to_string(collective));
      const MpiCounter mpi;
      CommRecorder recorder;
      call();
      REQUIRE(recorder.records().size() == 1);
      CHECK(recorder.records().front().collective == collective);
      CHECK(mpi.traffic(Collective::all_to_all).calls == (ranks == 1 ? 0 : 1));
      CHECK(mpi.collectives().calls == mpi.traffic(Collective::all_to_all).calls + mpi.traffic(second).calls);
      CHECK(mpi.traffic(second).calls == (ranks == 1 || second == Collective::barrier ? 0 : 1));
      CHECK(mpi.messages() == MpiTraffic{});
      const Index sent = mpi.collectives().bytes;
      CHECK(sum_over_ranks(recorder.bytes()) == 2 * payload);
      CHECK(sum_over_ranks(sent) == 2 * messages);
    };
    const Index of_root = n / ranks + (root < n % ranks ? 1 : 0);
    check(Collective::all_reduce, 2 * others * n, 2 * others * n, Collective::all_gather,
          [&] { world().all_reduce(in(mine), std::span(out)); });
    check(Collective::reduce, others * n, others * n + n - of_root, Collective::gather,
          [&] { world().reduce(in(mine), std::span(out), root); });
    std::vector<Index> counts(static_cast<std::size_t>(ranks));
    counts.back() = n;
    auto part = zeros<T>(world().rank() == others ? n : 0);
    check(Collective::reduce_scatter, others * n, others * n, Collective::barrier,
          [&] { world().reduce_scatter(in(mine), std::span(part), counts); });
  }
}

}  // namespace tartan::testing
