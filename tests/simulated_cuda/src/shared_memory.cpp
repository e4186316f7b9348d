#include <link.h>

#include <array>
#include <cstring>
#include <vector>

#include <simulated_cuda/simt.hpp>

#include "checks.hpp"

// Shared memory is the block's dynamic memory and, since __shared__ variables are static ones here, all static memory
// that can be written.

namespace simulated_cuda::checks {
namespace {

/// One thread, several of a warp, or several of the block.
constexpr int several_of_warp = 1024;
constexpr int several = several_of_warp + 32;
int warp_of(int who) { return who < several_of_warp ? who / 32 : who < several ? who - several_of_warp : -1; }

/// When the threads of a block and of its warps met last. No two blocks have the same times.
struct Times {
  std::uint32_t block = 0;
  std::uint32_t warp = 0;
  friend bool operator==(const Times&, const Times&) = default;
};

/// Who wrote and read two bytes of shared memory last.
struct Trace {
  Times written;
  Times read;
  std::int16_t writer = 0;
  std::int16_t reader = 0;
  bool atomic = false;
};
constexpr std::size_t unit = 2;

struct Region {
  const char* begin;
  const char* end;
  std::vector<Trace> traces;  // made at its first use

  bool contains(const char* address) const { return begin <= address && address < end; }
};

alignas(1024) std::array<char, 228 * 1024> dynamic_memory;
std::size_t dynamic_bytes = 0;
std::vector<Region> regions{{dynamic_memory.begin(), dynamic_memory.end(), {}}};
std::uint32_t block_time = 1;
std::uint32_t first_time = 1;  // of the block that runs
std::array<std::uint32_t, 32> warp_times{};

int add_segments(dl_phdr_info* object, std::size_t, void*) {
  const auto* base = reinterpret_cast<const char*>(object->dlpi_addr);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) == 0) continue;
    const char* begin = base + segment.p_vaddr;
    regions.push_back({begin, begin + segment.p_memsz, {}});
  }
  return 0;
}

Region* region_of(const char* address) {
  static std::size_t last = 0;
  if (regions.size() == 1) dl_iterate_phdr(add_segments, nullptr);
  if (regions[last].contains(address)) return &regions[last];
  for (std::size_t i = 0; i < regions.size(); ++i) {
    if (!regions[i].contains(address)) continue;
    last = i;
    return &regions[i];
  }
  return nullptr;
}

bool is_index(const char* address) {
  const auto in = [address](const auto& variable) {
    const auto* begin = reinterpret_cast<const char*>(&variable);
    return begin <= address && address < begin + sizeof(variable);
  };
  return in(threadIdx) || in(blockIdx) || in(blockDim) || in(gridDim);
}

/// Whether nothing orders what `who` did then with what the running thread does now.
bool unordered(const Times& then, int who, const Times& now) {
  if (then.block != now.block || who == running_thread()) return false;
  return warp_of(who) != running_thread() / 32 || then.warp == now.warp;
}

void read(Trace& trace, const Times& now) {
  const int own = running_thread();
  int who = own;
  if (trace.read.block == now.block && trace.reader != own) {
    if (warp_of(trace.reader) != own / 32)
      who = several;
    else if (trace.read == now)
      who = several_of_warp + own / 32;
  }
  trace.reader = static_cast<std::int16_t>(who);
  trace.read = now;
}

void trace(Trace& t, Access access) {
  const int own = running_thread();
  const Times now{block_time, warp_times[static_cast<std::size_t>(own / 32)]};
  if (access != Access::write && t.written.block < first_time) {
    fail("reads shared memory that no thread of its block has written");
  }
  const bool both_atomic = t.atomic && access == Access::atomic;
  if (access != Access::write && !both_atomic && unordered(t.written, t.writer, now)) {
    fail("thread " + std::to_string(own) + " reads shared memory that thread " + std::to_string(t.writer) +
         " has written, and they have not met since");
  }
  if (access == Access::read) return read(t, now);
  if (unordered(t.read, t.reader, now)) {
    fail("thread " + std::to_string(own) + " writes shared memory that another has read, and they have not met since");
  }
  t.written = now;
  t.writer = static_cast<std::int16_t>(own);
  t.atomic = access == Access::atomic;
}

}  // namespace

void shared_memory_of_block(std::size_t bytes) {
  dynamic_bytes = bytes;
  first_time = ++block_time;
}
void block_met() { ++block_time; }
void lanes_met(int warp) { ++warp_times[static_cast<std::size_t>(warp)]; }

bool shared_access(const char* address, std::size_t bytes, Access access) {
  if (is_index(address)) return true;
  Region* region = region_of(address);
  if (region == nullptr) return false;
  if (region == &regions.front() && address + bytes > region->begin + dynamic_bytes) {
    fail("uses more than its " + std::to_string(dynamic_bytes) + " bytes of dynamic shared memory");
  }
  if (region->traces.empty()) region->traces.resize(static_cast<std::size_t>(region->end - region->begin) / unit + 1);
  const auto offset = static_cast<std::size_t>(address - region->begin);
  for (std::size_t i = offset / unit; i <= (offset + bytes - 1) / unit; ++i) trace(region->traces[i], access);
  return true;
}

}  // namespace simulated_cuda::checks

void* simulated_cuda::dynamic_shared_memory() { return checks::dynamic_memory.data(); }
