#include <tartan/base/threads.hpp>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include <tartan/base/error.hpp>

#include "base/parallel.hpp"
#include "support/catch.hpp"

namespace tartan {
namespace {

TEST_CASE("the number of threads is one unless set, and legal", "[base][threads]") {
  CHECK(parse_threads("1") == 1);
  CHECK(parse_threads("1024") == 1024);
  for (const char* text : {"", "0", "-1", "1025", "2x", " 2", "many", "99999999999"}) CHECK(!parse_threads(text));
  const int before = threads();
  CHECK_THROWS_AS(set_threads(0), Error);
  CHECK_THROWS_AS(set_threads(1025), Error);
  CHECK(threads() == before);
  set_threads(3);
  CHECK(threads() == 3);
  set_threads(before);
}

/// Runs `body` with a number of threads, for work of any size.
template <class Body>
void with_threads(int count, Body body) {
  const int before = threads();
  const Index bytes = parallel_bytes();
  set_threads(count);
  set_parallel_bytes(1);
  body();
  set_threads(before);
  set_parallel_bytes(bytes);
}

TEST_CASE("ranges cover every index once", "[base][threads]") {
  for (const int count : {1, 2, 3, 5}) {
    with_threads(count, [] {
      for (const Index extent : {0, 1, 2, 7, 1000}) {
        std::vector<std::atomic<int>> visits(extent);
        parallel(extent, 1, [&](Index begin, Index end) {
          for (Index i = begin; i < end; ++i) ++visits[i];
        });
        for (const auto& visit : visits) CHECK(visit == 1);
      }
    });
  }
}

TEST_CASE("no more threads take part than were asked for", "[base][threads]") {
  for (const int count : {5, 2, 1}) {
    with_threads(count, [count] {
      std::mutex mutex;
      for (int repetition = 0; repetition < 20; ++repetition) {
        std::set<std::thread::id> together;
        parallel(1000, 1, [&](Index, Index) {
          const std::scoped_lock lock(mutex);
          together.insert(std::this_thread::get_id());
        });
        CHECK(static_cast<int>(together.size()) <= count);
      }
    });
  }
}

TEST_CASE("small work stays on the calling thread", "[base][threads]") {
  const int before = threads();
  set_threads(4);
  int calls = 0;
  parallel(1000, 8, [&](Index begin, Index end) {
    ++calls;
    CHECK(end - begin == 1000);
  });
  CHECK(calls == 1);
  set_threads(before);
}

TEST_CASE("what a part throws reaches the caller, and the next call works", "[base][threads]") {
  with_threads(3, [] {
    for (Index culprit = 0; culprit < 6; ++culprit) {
      CHECK_THROWS_AS(run_parts(6,
                                [culprit](Index part) {
                                  if (part == culprit) throw std::runtime_error("part");
                                }),
                      std::runtime_error);
      std::atomic<int> done = 0;
      run_parts(6, [&](Index) { ++done; });
      CHECK(done == 6);
    }
  });
}

TEST_CASE("calls within a part and from other threads are done too", "[base][threads]") {
  with_threads(3, [] {
    std::atomic<int> done = 0;
    const auto nested = [&] { run_parts(5, [&](Index) { run_parts(7, [&](Index) { ++done; }); }); };
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i)
      callers.emplace_back([&] {
        for (int repetition = 0; repetition < 50; ++repetition) nested();
      });
    for (auto& caller : callers) caller.join();
    CHECK(done == 4 * 50 * 35);
  });
}

}  // namespace
}  // namespace tartan
