#include <tartan/comm/agreement.hpp>

#include <memory>
#include <stdexcept>

#include <tartan/comm/recorder.hpp>

#include "comm/data.hpp"
#include "support/catch.hpp"
#include "support/pmpi.hpp"
#include "support/world.hpp"

namespace tartan::testing {
namespace {

/// The kind of exception that `call` throws and its text.
template <class Call>
std::string outcome(Call call) {
  try {
    call();
  } catch (const RemoteError& error) {
    return "RemoteError " + std::to_string(error.rank()) + ": " + error.text();
  } catch (const MpiError& error) {
    return std::string("MpiError: ") + error.what();
  } catch (const std::exception& error) {
    return error.what();
  } catch (int error) {
    return "int " + std::to_string(error);
  }
  return "nothing";
}

}  // namespace

TEST_CASE("what one rank throws is thrown on every rank") {
  const int rank = world().rank();
  for (int culprit = 0; culprit < world().size(); ++culprit) {
    const std::string text = "index 99 of rank " + std::to_string(culprit);
    const auto result = outcome([&] {
      collectively(world(), [&] {
        if (rank == culprit) throw std::out_of_range(text);
      });
    });
    CHECK(result == (rank == culprit ? text : "RemoteError " + std::to_string(culprit) + ": " + text));

    const auto unknown = outcome([&] {
      collectively(world(), [&] {
        if (rank == culprit) throw 42;
      });
    });
    CHECK(unknown == (rank == culprit
                          ? "int 42"
                          : "RemoteError " + std::to_string(culprit) + ": an exception that is no std::exception"));
  }
}

TEST_CASE("of several culprits the lowest is named, a RemoteError last") {
  const int rank = world().rank();
  const int ranks = world().size();
  for (int first = 0; first < ranks; ++first) {
    const auto several = outcome([&] {
      collectively(world(), [&] {
        if (rank >= first) throw Error("fault of " + std::to_string(rank));
      });
    });
    CHECK(several == (rank >= first ? "fault of " + std::to_string(rank)
                                    : "RemoteError " + std::to_string(first) + ": fault of " + std::to_string(first)));

    const int last = ranks - 1;
    const auto second_hand = outcome([&] {
      collectively(world(), [&] {
        if (rank == last) throw Error("the cause");
        if (rank >= first) throw RemoteError(7, "heard of it");
      });
    });
    const std::string innocent = "RemoteError " + std::to_string(last) + ": the cause";
    CHECK(second_hand == (rank == last ? "the cause" : rank >= first ? "RemoteError 7: heard of it" : innocent));

    const auto only_remote = outcome([&] {
      collectively(world(), [&] {
        if (rank >= first) throw RemoteError(7, "heard of it");
      });
    });
    CHECK(only_remote == "RemoteError 7: heard of it");
  }
}

TEST_CASE("the culprit keeps its number in the caller's communicator through agreements of any part of it") {
  const int rank = world().rank();
  const int ranks = world().size();
  const Communicator reversed = world().split(0, -rank, "reversed");
  const Communicator parity = reversed.split(rank % 2, rank, "parity");
  CHECK(parity.root_rank() == rank);
  CHECK(Communicator().root_rank() == -1);
  for (int culprit = 0; culprit < ranks; ++culprit) {
    const auto result = outcome([&] {
      std::exception_ptr error;
      try {
        collectively(parity, [&] {
          if (rank == culprit) throw Error("bad");
        });
      } catch (...) {
        error = std::current_exception();
      }
      agree(reversed, error);
    });
    CHECK(result == (rank == culprit ? "bad" : "RemoteError " + std::to_string(culprit) + ": bad"));
  }
}

TEST_CASE("collectively returns what the body returns") {
  CHECK(collectively(world(), [] { return world().rank(); }) == world().rank());
  const auto moved = collectively(world(), [] { return std::make_unique<int>(world().rank()); });
  CHECK(*moved == world().rank());
  collectively(world(), [] {});
}

TEST_CASE("with checks off only the culprit throws and nothing is sent") {
  const ChecksScope scope(Checks::off);
  const MpiCounter mpi;
  const int culprit = world().size() - 1;
  const auto result = outcome([&] {
    collectively(world(), [&] {
      if (world().rank() == culprit) throw Error("mine");
    });
  });
  CHECK(result == (world().rank() == culprit ? "mine" : "nothing"));
  same_on_all(world(), "rank", std::to_string(world().rank()));
  CHECK(mpi.collectives().calls == 0);
}

TEST_CASE("an MpiError is not agreed") {
  const MpiCounter mpi;
  CHECK(outcome([] { agree(world(), std::make_exception_ptr(MpiError("lost", 5))); }) == "MpiError: lost");
  CHECK(mpi.collectives().calls == 0);
}

TEST_CASE("same_on_all names what differs, where, and both values") {
  same_on_all(world(), "shape", "(3, 4)");
  same_on_all(world(), "name", "");
  for (int other = 1; other < world().size(); ++other) {
    const auto differing = outcome([&] {
      same_on_all(world(), "shape", world().rank() >= other ? "(3, " + std::to_string(world().rank()) + ")" : "(3)");
    });
    CHECK(differing == "shape differs between the ranks of \"world\": rank 0 has (3), rank " + std::to_string(other) +
                           " has (3, " + std::to_string(other) + ")");
    const auto first = outcome([&] { same_on_all(world(), "seed", world().rank() == 0 ? "1" : "2"); });
    CHECK(first == "seed differs between the ranks of \"world\": rank 0 has 1, rank 1 has 2");
  }
}

TEST_CASE("under checks=collective mismatched calls are named on every rank") {
  const ChecksScope scope(Checks::collective);
  std::vector<float> data(4, static_cast<float>(world().rank()));
  for (int other = 1; other < world().size(); ++other) {
    const bool differs = world().rank() == other;
    const std::string expected = "mismatched calls on \"world\": rank 0 calls broadcast(float, 4, root 0), rank " +
                                 std::to_string(other) + " calls ";
    CHECK(outcome([&] {
            if (!differs) return world().broadcast(std::span(data), 0);
            world().all_reduce(std::span<const float>(data), std::span(data));
          }) == expected + "all_reduce(float, 4, sum)");
    CHECK(outcome([&] { world().broadcast(std::span(data).first(differs ? 3 : 4), 0); }) ==
          expected + "broadcast(float, 3, root 0)");
    CHECK(outcome([&] { world().broadcast(std::span(data), differs ? 1 : 0); }) ==
          expected + "broadcast(float, 4, root 1)");
    CHECK(outcome([&] {
            if (!differs) return world().broadcast(std::span(data), 0);
            agree(world(), nullptr);
          }) == expected + "agree()");
  }
  world().broadcast(std::span(data), 0);
  CHECK(data == std::vector<float>(4));
}

TEST_CASE("under checks=collective long descriptions differ by what their beginnings do not show") {
  const ChecksScope scope(Checks::collective);
  const std::string text(1000, 'x');
  check_collective(world(), [&] { return text + "a"; });
  if (world().size() == 1) return;
  CHECK_THROWS_AS(check_collective(world(), [&] { return text + (world().rank() == 1 ? "b" : "a"); }), Error);
}

TEST_CASE("under checks=collective a call that not every rank makes ends at the deadline") {
  const Communicator family(MPI_COMM_WORLD, "awaited");
  const Communicator child = family.dup("child");
  world().barrier();
  if (world().size() == 1) return;
  const ChecksScope scope(Checks::collective);
  const auto before = collective_deadline();
  set_collective_deadline(std::chrono::milliseconds{150});
  if (world().rank() > 0) {
    CHECK(outcome([&] { family.barrier(); }) ==
          "MpiError: rank " + std::to_string(world().rank()) +
              " of \"awaited\" calls barrier(), but not all its peers came within "
              "0.15 s");
    CHECK(outcome([&] { child.barrier(); }) == "MpiError: the communicator \"child\" is finished after: rank " +
                                                   std::to_string(world().rank()) +
                                                   " of \"awaited\" calls barrier(), but not all its peers came within "
                                                   "0.15 s");
  } else {
    family.mark_failed("left out on purpose");
  }
  set_collective_deadline(before);
}

}  // namespace tartan::testing
