// How a job ends: the first argument says what the culprit does, the second which rank it is.

#include <cstdlib>
#include <functional>
#include <iostream>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <tartan/comm/agreement.hpp>
#include <tartan/comm/environment.hpp>

namespace {

using tartan::Communicator;

void wait_in_barrier(const Communicator& world) { world.barrier(); }

void wait_in_receive(const Communicator& world, int from) {
  int number = 0;
  MPI_Recv(&number, 1, MPI_INT, from, 0, world.native(), MPI_STATUS_IGNORE);
}

void end(const Communicator& world, const std::string& what, int culprit) {
  const bool mine = world.rank() == culprit;
  const std::string text = "fault of rank " + std::to_string(world.rank());
  if (what == "well") return world.barrier();
  if (what == "late") return std::this_thread::sleep_for(std::chrono::seconds(mine ? 2 : 0));
  if (what == "all-throw") throw tartan::Error("a grid that fits no rank");
  if (what == "throw-alone" && mine) throw std::runtime_error(text);
  if (what == "throw-int" && mine) throw 42;
  if (what == "out-of-memory" && mine) throw std::bad_alloc();
  if (what == "empty-function" && mine) std::function<void()>()();
  if (what == "print" && mine) std::cout << "a line that must not get lost\n";
  if (what == "throw-before-barrier") return mine ? throw tartan::Error(text) : wait_in_barrier(world);
  if (what == "throw-before-receive") return mine ? throw tartan::Error(text) : wait_in_receive(world, culprit);
  if (what == "agreed")
    return tartan::collectively(world, [&] {
      if (mine) throw tartan::Error(text);
    });
  if (what == "swallowed" && mine) world.mark_failed("a fault of MPI");
  if (what == "leave-early" && !mine) wait_in_barrier(world);
  if (what == "terminate") {
    if (mine) std::thread([&] { throw tartan::Error(text); }).join();
    wait_in_barrier(world);
  }
  if (what == "mismatch") {
    std::vector<float> data(4);
    mine ? world.broadcast(std::span(data), 0) : world.all_reduce(std::span<const float>(data), std::span(data));
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::optional<Communicator> kept;
  const int status = tartan::run_on_all_ranks(argc, argv, [&](const Communicator& world) {
    if (argc != 3) throw tartan::Error("usage: ending WHAT CULPRIT");
    kept = world.dup("kept");
    end(world, argv[1], std::atoi(argv[2]));
  });
  if (status != 0 || argv[1] != std::string("outlive")) return status;
  const auto says = [](const auto& call) {
    try {
      call();
    } catch (const tartan::Error& error) {
      return std::string(error.what()).find("after MPI was finalised") != std::string::npos;
    }
    return false;
  };
  const bool refused = says([&] { kept->barrier(); }) && says([&] { kept->dup("copy"); }) &&
                       says([&] { kept->split(0, 0, "part"); }) && says([&] { tartan::agree(*kept, nullptr); });
  return refused ? 0 : 1;
}
