// Work of a rank's own in the time of a reduction.

#include "comm/overlap.hpp"

#include <numeric>
#include <vector>

#include "comm/data.hpp"
#include "support/catch.hpp"
#include "support/world.hpp"

namespace tartan::testing {
namespace {

TEST_CASE("work is done in the first reduction that MPI adds, in one call or in pieces") {
  const auto& communicator = world();
  const int n = communicator.size();
  for (const Index bytes : {chunk_bytes(), Index{16}}) {
    const ChunkScope chunks(bytes);
    for (const bool scatter : {false, true}) {
      const Index mine = communicator.rank() + 1;
      std::vector<Index> counts(static_cast<std::size_t>(n));
      std::iota(counts.begin(), counts.end(), 1);
      const Index total = scatter ? Index{n} * (n + 1) / 2 : 9;
      std::vector<double> in(static_cast<std::size_t>(total)), out(static_cast<std::size_t>(scatter ? mine : total));
      std::iota(in.begin(), in.end(), 1.0);
      const auto reduce = [&] {
        if (scatter) {
          communicator.reduce_scatter<double>(in, out, counts);
        } else {
          communicator.all_reduce<double>(in, out);
        }
      };
      int calls = 0;
      const bool done = overlapped(
          [&] {
            reduce();
            reduce();  // waits
          },
          [&](const Progress& progress) {
            ++calls;
            progress();
          });
      CHECK(done == (n > 1));
      CHECK(calls == (n > 1 ? 1 : 0));
      CHECK_FALSE(has_overlapped_work());
      const auto first = static_cast<double>(scatter ? mine * (mine - 1) / 2 : 0);
      for (std::size_t i = 0; i < out.size(); ++i) CHECK(out[i] == n * (first + 1 + static_cast<double>(i)));
    }
  }
}

TEST_CASE("work that throws ends the reduction first, and without a reduction none is done") {
  const auto& communicator = world();
  std::vector<double> in(3, 1), out(3);
  const auto move = [&] { communicator.all_reduce<double>(in, out); };
  if (communicator.size() > 1) {
    CHECK_THROWS_AS(overlapped(move, [](const Progress&) { throw Error("of the work"); }), Error);
    CHECK(out[0] == communicator.size());
  }
  CHECK_FALSE(has_overlapped_work());
  CHECK_FALSE(overlapped([] {}, [](const Progress&) { FAIL("no reduction"); }));
  move();
  CHECK(out[2] == communicator.size());
}

}  // namespace
}  // namespace tartan::testing
