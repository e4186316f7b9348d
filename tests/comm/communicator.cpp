#include <tartan/comm/communicator.hpp>

#include <vector>

#include <tartan/comm/agreement.hpp>
#include <tartan/comm/environment.hpp>

#include "comm/data.hpp"
#include "support/catch.hpp"
#include "support/world.hpp"

namespace tartan::testing {
namespace {

Index sum(const Communicator& communicator, Index mine) {
  Index result = -1;
  communicator.all_reduce(std::span<const Index>(&mine, 1), std::span(&result, 1));
  return result;
}

template <class Call>
std::string mpi_error(Call call) {
  try {
    call();
  } catch (const MpiError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("the null communicator has no ranks and says so when it is used") {
  const Communicator null;
  CHECK(null.is_null());
  CHECK(null.rank() == -1);
  CHECK(null.size() == 0);
  CHECK(null.native() == MPI_COMM_NULL);
  CHECK_THROWS_WITH(null.barrier(), "the null communicator cannot communicate");
  CHECK_THROWS_AS(null.dup("copy"), Error);
  CHECK_THROWS_AS(null.mark_failed("no"), Error);
  CHECK_THROWS_AS(Communicator(MPI_COMM_NULL, "nothing"), Error);
}

TEST_CASE("a communicator is a duplicate of the caller's, and leaves that alone") {
  MPI_Errhandler before, after;
  MPI_Comm_get_errhandler(MPI_COMM_WORLD, &before);
  const Communicator mine(MPI_COMM_WORLD, "mine");
  MPI_Comm_get_errhandler(MPI_COMM_WORLD, &after);
  CHECK(before == after);
  int relation = MPI_UNEQUAL;
  MPI_Comm_compare(mine.native(), MPI_COMM_WORLD, &relation);
  CHECK(relation == MPI_CONGRUENT);
  CHECK(mine.name() == "mine");
  const Communicator copy = mine;
  CHECK(copy.native() == mine.native());
  const Communicator other = mine.dup("other");
  CHECK(other.native() != mine.native());
  CHECK(other.rank() == mine.rank());
  CHECK(other.size() == mine.size());
  CHECK(sum(other, other.rank()) == Index{other.size()} * (other.size() - 1) / 2);
}

TEST_CASE("split groups by color, orders by key, and leaves negative colors out") {
  const int rank = world().rank();
  const int ranks = world().size();
  const Communicator parity = world().split(rank % 2, -rank, "parity");
  const int members = (ranks + 1 - rank % 2) / 2;
  CHECK(parity.size() == members);
  CHECK(parity.rank() == members - 1 - rank / 2);
  Index expected = 0;
  for (int r = rank % 2; r < ranks; r += 2) expected += r;
  CHECK(sum(parity, rank) == expected);

  const Communicator all_but_first = world().split(rank == 0 ? -1 : 0, rank, "tail");
  CHECK(all_but_first.is_null() == (rank == 0));
  if (rank > 0) CHECK(sum(all_but_first, 1) == ranks - 1);
}

TEST_CASE("ten thousand communicators come and go") {
  for (int i = 0; i < 10'000; ++i) {
    const Communicator brief = world().dup("brief");
    if (i % 1000 == 0) REQUIRE(sum(brief, 1) == world().size());
  }
}

TEST_CASE("after a failed MPI call the whole family refuses further calls") {
  const Communicator family(MPI_COMM_WORLD, "doomed");
  const Communicator child = family.split(0, family.rank(), "child");
  const Communicator stranger(MPI_COMM_WORLD, "stranger");
  if (world().size() == 1) return;

  const ChecksScope unseen(Checks::local);
  // The last rank awaits less than the root sends: an error of truncation there.
  const bool short_one = family.rank() == family.size() - 1;
  std::vector<double> data(short_one ? 10 : 100);
  const std::string text = mpi_error([&] { family.broadcast(std::span(data), 0); });
  CHECK(text.empty() == !short_one);
  if (short_one) {
    CHECK(text.find("broadcast on \"doomed\", rank " + std::to_string(family.rank()) + ": MPI_ERR_TRUNCATE") == 0);
    const std::string refused = "the communicator \"child\" is finished after: " + text;
    CHECK(mpi_error([&] { child.barrier(); }) == refused);
    CHECK(mpi_error([&] { child.dup("grandchild"); }) == refused);
    CHECK(mpi_error([&] { agree(child, nullptr); }) == refused);
    CHECK(mpi_error([&] { family.require_usable(); }) == "the communicator \"doomed\" is finished after: " + text);
    family.mark_failed("a second reason");
    CHECK(mpi_error([&] { family.require_usable(); }) == "the communicator \"doomed\" is finished after: " + text);
  }
  CHECK(sum(stranger, 1) == world().size());
}

TEST_CASE("a program has one Environment, and none where it owns MPI") {
  int argc = 0;
  char** argv = nullptr;
  CHECK_THROWS_AS(Environment(argc, argv), Error);
  CHECK(run_on_all_ranks(argc, argv, [](const Communicator&) {}) == 1);
}

}  // namespace tartan::testing
