#include <simulated_cuda/simt.hpp>

#include <sys/mman.h>

#include <array>
#include <boost/context/fiber.hpp>
#include <cstring>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "checks.hpp"
#include "internal.hpp"

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace simulated_cuda {
namespace {

namespace context = boost::context;

constexpr int most_threads = 1024;
constexpr int warp = 32;
constexpr std::size_t stack_bytes = std::size_t{1} << 17;
constexpr std::uint64_t nothing = 0xfbfbfbfbfbfbfbfb;  // what is read from a lane that does not take part

enum class State { ready, waiting, done };

struct Thread {
  context::fiber self;
  context::fiber scheduler;
  uint3 index;
  State state = State::done;
  Meeting meeting;
  unsigned mask;  // of lanes that meet
  std::uint64_t value;
  int source;
  std::uint64_t result;
};

struct Block {
  std::array<Thread, most_threads> threads;
  char* stacks = nullptr;
  int count = 0;
  int alive = 0;
  std::vector<int> ready;
  int current = 0;
  const Launch* launch = nullptr;
  std::minstd_rand random{1};
};

Block& block() {
  static auto* const it = new Block;
  return *it;
}

/// Stacks are made once and used by all kernels.
struct Stack {
  char* bottom;
  context::stack_context allocate() const {
    context::stack_context stack;
    stack.size = stack_bytes;
    stack.sp = bottom + stack_bytes;
    return stack;
  }
  void deallocate(context::stack_context&) const {}
};

void make_fibers() {
  auto& b = block();
  void* stacks = mmap(nullptr, stack_bytes * most_threads, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stacks == MAP_FAILED) give_up("no memory for the stacks of threads");
  b.stacks = static_cast<char*>(stacks);
  checks::allow_stacks(b.stacks, stack_bytes * most_threads);
  for (std::size_t i = 0; i < b.threads.size(); ++i) {
    Thread& thread = b.threads[i];
    char* const bottom = b.stacks + i * stack_bytes;
    mprotect(bottom, 4096, PROT_NONE);
    thread.self = context::fiber(std::allocator_arg, Stack{bottom}, [&thread](context::fiber&& scheduler) {
      thread.scheduler = std::move(scheduler);
      for (;;) {
        block().launch->call(block().launch->arguments.get());
        thread.state = State::done;
        thread.scheduler = std::move(thread.scheduler).resume();
      }
      return std::move(thread.scheduler);
    });
  }
}

Thread& current() { return block().threads[static_cast<std::size_t>(block().current)]; }

void switch_away() {
  Thread& thread = current();
  thread.scheduler = std::move(thread.scheduler).resume();
}

void make_ready(int t, std::uint64_t result) {
  Thread& thread = block().threads[static_cast<std::size_t>(t)];
  thread.result = result;
  thread.state = State::ready;
  block().ready.push_back(t);
}

const Thread& thread(int t) { return block().threads[static_cast<std::size_t>(t)]; }

/// Lets all threads go on if none is missing.
void complete_block() {
  const auto& b = block();
  std::uint64_t sum = 0;
  for (int t = 0; t < b.count; ++t) {
    if (thread(t).state == State::done) continue;
    if (thread(t).state != State::waiting || thread(t).meeting != Meeting::block) return;
    sum += thread(t).value;
  }
  checks::block_met();
  for (int t = 0; t < b.count; ++t) {
    if (thread(t).state == State::waiting) make_ready(t, sum);
  }
}

/// Lets the lanes of `mask` go on if none of those that are left is missing.
void complete_lanes(int first, Meeting meeting, unsigned mask) {
  const int end = std::min(first + warp, block().count);
  std::array<const Thread*, warp> met{};
  for (int t = first; t < end; ++t) {
    const Thread& lane = thread(t);
    if ((mask >> (t - first) & 1U) == 0 || lane.state == State::done) continue;
    if (lane.state != State::waiting || lane.meeting != meeting || lane.mask != mask) return;
    met[static_cast<std::size_t>(t - first)] = &lane;
  }
  checks::lanes_met(first / warp);
  std::array<std::uint64_t, warp> results{};
  for (std::size_t i = 0; i < met.size(); ++i) {
    if (met[i] == nullptr) continue;
    for (std::size_t j = 0; j < met.size(); ++j) {
      const bool chosen = met[j] != nullptr && ((meeting == Meeting::ballot && met[j]->value != 0) ||
                                                (meeting == Meeting::match && met[j]->value == met[i]->value));
      if (chosen) results[i] |= std::uint64_t{1} << j;
    }
    if (meeting == Meeting::shuffle) {
      const auto* source = met[static_cast<std::size_t>(met[i]->source) % warp];
      results[i] = source == nullptr ? nothing : source->value;
    }
  }
  for (std::size_t i = 0; i < met.size(); ++i) {
    if (met[i] != nullptr) make_ready(first + static_cast<int>(i), results[i]);
  }
}

std::uint64_t meet(Meeting meeting, unsigned mask, std::uint64_t value, int source) {
  Thread& thread = current();
  thread.state = State::waiting;
  thread.meeting = meeting;
  thread.mask = mask;
  thread.value = value;
  thread.source = source;
  if (meeting == Meeting::block) {
    complete_block();
  } else {
    complete_lanes(block().current / warp * warp, meeting, mask);
  }
  switch_away();
  return thread.result;
}

/// Those that wait for a thread that has ended have to wait no more.
void leave() {
  const auto& b = block();
  complete_block();
  const int first = b.current / warp * warp;
  for (int t = first; t < std::min(first + warp, b.count); ++t) {
    if (thread(t).state == State::waiting && thread(t).meeting != Meeting::block) {
      complete_lanes(first, thread(t).meeting, thread(t).mask);
    }
  }
}

[[noreturn]] void report_deadlock() {
  static constexpr const char* names[] = {"__syncthreads", "__syncwarp", "a shuffle", "a ballot", "__match_any_sync"};
  std::string text = "its threads wait for each other for ever";
  int shown = 0;
  for (int t = 0; t < block().count && shown < 40; ++t) {
    if (thread(t).state != State::waiting) continue;
    std::array<char, 100> line{};
    std::snprintf(line.data(), line.size(), "\n  warp %d lane %2d waits in %s, mask 0x%08x", t / warp, t % warp,
                  names[static_cast<int>(thread(t).meeting)], thread(t).mask);
    text += line.data();
    ++shown;
  }
  checks::fail(text);
}

void run_block(uint3 index) {
  auto& b = block();
  blockIdx = index;
  checks::shared_memory_of_block(b.launch->shared_bytes);
  b.alive = b.count;
  b.ready.resize(static_cast<std::size_t>(b.count));
  std::iota(b.ready.begin(), b.ready.end(), 0);
  for (int t : b.ready) {
    const auto i = static_cast<unsigned>(t);
    auto& thread = b.threads[static_cast<std::size_t>(t)];
    thread.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
    thread.state = State::ready;
  }
  while (b.alive > 0) {
    if (b.ready.empty()) report_deadlock();
    std::swap(b.ready[b.random() % b.ready.size()], b.ready.back());
    b.current = b.ready.back();
    b.ready.pop_back();
    Thread& next = current();
    threadIdx = next.index;
    next.self = std::move(next.self).resume();
    if (next.state == State::done) {
      --b.alive;
      leave();
    }
  }
}

}  // namespace

int lane() { return block().current % warp; }
int running_thread() { return block().current; }

void let_others_run() {
  auto& b = block();
  if (b.ready.empty()) return;
  b.ready.push_back(b.current);
  switch_away();
}

int meet_block(int value) {
  return static_cast<int>(meet(Meeting::block, 0xffffffff, static_cast<std::uint64_t>(value), 0));
}

std::uint64_t meet_lanes(Meeting meeting, unsigned mask, std::uint64_t value, int source) {
  if ((mask >> lane() & 1U) == 0) checks::fail("lane " + std::to_string(lane()) + " is not in the mask that it gives");
  return meet(meeting, mask, value, source);
}

void run(const Launch& launch) {
  static const auto seed = static_cast<unsigned>(setting("TARTAN_SIMULATED_CUDA_SEED", 1));
  static unsigned launches = 0;
  auto& b = block();
  if (b.stacks == nullptr) make_fibers();
  b.launch = &launch;
  b.count = static_cast<int>(launch.block.x * launch.block.y * launch.block.z);
  b.random.seed(seed + ++launches);
  blockDim = launch.block;
  gridDim = launch.grid;
  checks::begin(launch);
  // Blocks in another order than they are numbered.
  const std::uint64_t blocks = std::uint64_t{gridDim.x} * gridDim.y * gridDim.z;
  std::uint64_t stride = b.random() % blocks | 1;
  while (std::gcd(stride, blocks) != 1) stride += 2;
  for (std::uint64_t i = 0, n = b.random() % blocks; i < blocks; ++i, n = (n + stride) % blocks) {
    run_block({static_cast<unsigned>(n % gridDim.x), static_cast<unsigned>(n / gridDim.x % gridDim.y),
               static_cast<unsigned>(n / gridDim.x / gridDim.y)});
  }
  checks::end();
}

}  // namespace simulated_cuda
