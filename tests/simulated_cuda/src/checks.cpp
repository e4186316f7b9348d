#include "checks.hpp"

#include <link.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include <simulated_cuda/atomics.hpp>

namespace simulated_cuda::checks {
namespace {

const Launch* running = nullptr;
std::pair<const char*, const char*> stacks;
std::minstd_rand coin{1};
std::uint32_t until_switch = 1;

bool in(const std::pair<const char*, const char*>& range, const char* address) {
  return range.first <= address && address < range.second;
}

/// Static memory that nobody can write, or no longer: ranges in ascending order.
std::vector<std::pair<const char*, const char*>>& constants() {
  static std::vector<std::pair<const char*, const char*>> ranges;
  if (!ranges.empty()) return ranges;
  const auto add = [](dl_phdr_info* object, std::size_t, void*) {
    for (int i = 0; i < object->dlpi_phnum; ++i) {
      const auto& part = object->dlpi_phdr[i];
      const auto* begin = reinterpret_cast<const char*>(object->dlpi_addr) + part.p_vaddr;
      const bool constant = part.p_type == PT_GNU_RELRO || (part.p_type == PT_LOAD && (part.p_flags & PF_W) == 0);
      if (constant) ranges.emplace_back(begin, begin + part.p_memsz);
    }
    return 0;
  };
  dl_iterate_phdr(add, nullptr);
  std::ranges::sort(ranges);
  return ranges;
}

bool is_constant(const char* address) {
  const auto& ranges = constants();
  const auto behind = std::ranges::upper_bound(ranges, address, {}, &std::pair<const char*, const char*>::first);
  return behind != ranges.begin() && in(*std::prev(behind), address);
}

void check(const void* memory, std::size_t bytes, Access access) {
  const auto* address = static_cast<const char*>(memory);
  if (in(stacks, address)) return;
  const auto* arguments = static_cast<const char*>(running->arguments.get());
  if (in({arguments, arguments + running->argument_bytes}, address)) return;
  const bool global = memory::contains(address);
  if (!global && access == Access::read && is_constant(address)) return;
  if (global || !shared_access(address, bytes, access)) {
    const auto text = memory::fault(memory, bytes, running->device);
    if (!text.empty()) fail((access == Access::read ? "reads " : "writes ") + text);
  }
  if (--until_switch == 0) {
    until_switch = 1 + static_cast<std::uint32_t>(coin() % 64);
    let_others_run();
  }
}

}  // namespace

void access(const void* memory, std::size_t bytes, Access access) {
  if (running != nullptr && bytes > 0) check(memory, bytes, access);
}

void begin(const Launch& launch) { running = &launch; }
void end() { running = nullptr; }
void allow_stacks(const char* begin, std::size_t bytes) { stacks = {begin, begin + bytes}; }

void fail(const std::string& text) {
  const Launch& launch = *std::exchange(running, nullptr);
  give_up("kernel " + describe(launch.function) + ", thread " + std::to_string(running_thread()) +
          " of a block: " + text);
}

}  // namespace simulated_cuda::checks

void simulated_cuda::check_atomic(const void* memory, std::size_t bytes) {
  checks::check(memory, bytes, checks::Access::atomic);
}
