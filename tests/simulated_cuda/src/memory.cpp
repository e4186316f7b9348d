#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <map>

#include "internal.hpp"

namespace simulated_cuda::memory {
namespace {

constexpr std::size_t alignment = 256;
constexpr std::size_t gap = 256;  // between blocks, so that an index that is off by a little hits none
constexpr std::size_t span = std::size_t{1} << 35;  // of addresses, for each device
constexpr std::size_t kept = std::size_t{1} << 26;  // of freed memory whose addresses are not used again yet
constexpr int poison = 0xff;                        // NaN, or -1
constexpr std::size_t most_poisoned = std::size_t{1} << 24;

enum class State { reserved, usable, freeing, freed };

struct Block {
  std::size_t bytes;
  State state;
};

struct Space {
  char* begin = nullptr;
  std::size_t high = 0;  // what has been given out at any time
  std::size_t used = 0;
  std::map<std::uintptr_t, Block> blocks;  // by address, freed ones as well
  std::deque<std::uintptr_t> freed;        // oldest first
  std::size_t freed_bytes = 0;
};

std::size_t room(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment + gap; }

class Arena {
 public:
  Arena() {
    void* memory = mmap(nullptr, span * most_devices, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) give_up("no addresses for the devices' memory");
    for (std::size_t i = 0; i < spaces.size(); ++i) spaces[i].begin = static_cast<char*>(memory) + i * span;
    watch(spaces[0].begin, spaces[0].begin + span * most_devices);
  }

  std::array<Space, most_devices> spaces;
  std::map<std::uintptr_t, std::size_t> pinned;
  bool opened = false;
};

/// The block of the access before, which most accesses hit again.
struct Recent {
  std::uintptr_t begin = 1;
  std::uintptr_t end = 0;
  int device = -1;
};
Recent recent;

Arena& arena() {
  static auto* const it = new Arena;
  return *it;
}

void protect(int how) {
  for (const auto& space : arena().spaces) {
    if (space.high > 0) mprotect(space.begin, (space.high + 4095) / 4096 * 4096, how);
  }
}

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

Space* space_of(const void* address) {
  const auto offset = number(address) - number(arena().spaces[0].begin);
  return offset < span * most_devices ? &arena().spaces[offset / span] : nullptr;
}

/// The block whose place holds the address.
std::pair<const std::uintptr_t, Block>* block_around(const void* address) {
  Space* space = space_of(address);
  if (space == nullptr) return nullptr;
  auto next = space->blocks.upper_bound(number(address));
  if (next == space->blocks.begin()) return nullptr;
  --next;
  return number(address) < next->first + room(next->second.bytes) ? &*next : nullptr;
}

/// An address range that is free again, or new.
std::uintptr_t place(Space& space, std::size_t bytes) {
  if (space.high + room(bytes) <= span) {
    const auto address = number(space.begin) + space.high;
    space.high += room(bytes);
    if (arena().opened) protect(PROT_READ | PROT_WRITE);
    return address;
  }
  auto end = number(space.begin);
  for (const auto& [address, block] : space.blocks) {
    if (address - end >= room(bytes)) return end;
    end = address + room(block.bytes);
  }
  return number(space.begin) + span - end >= room(bytes) ? end : 0;
}

}  // namespace

void open() {
  if (!arena().opened) protect(PROT_READ | PROT_WRITE);
  arena().opened = true;
}

void close() {
  if (arena().opened) protect(PROT_NONE);
  arena().opened = false;
  stay_on_watch();
}

bool contains(const void* address) { return space_of(address) != nullptr; }

void* reserve(int device, std::size_t bytes) {
  Space& space = arena().spaces[static_cast<std::size_t>(device)];
  if (bytes > limit() || space.used + bytes > limit()) return nullptr;
  const auto address = place(space, bytes);
  if (address == 0) return nullptr;
  space.blocks[address] = {bytes, State::reserved};
  space.used += bytes;
  open();
  auto* memory = reinterpret_cast<void*>(address);
  std::memset(memory, poison, std::min(bytes, most_poisoned));
  return memory;
}

void make_usable(void* block) { block_around(block)->second.state = State::usable; }

void start_free(void* block) { block_around(block)->second.state = State::freeing; }

void finish_free(void* address) {
  Space& space = *space_of(address);
  Block& block = space.blocks.at(number(address));
  recent = {};
  block.state = State::freed;
  space.used -= block.bytes;
  space.freed.push_back(number(address));
  space.freed_bytes += block.bytes;
  std::memset(address, poison, std::min(block.bytes, most_poisoned));
  while (space.freed_bytes > kept) {
    const auto oldest = space.blocks.find(space.freed.front());
    space.freed.pop_front();
    space.freed_bytes -= oldest->second.bytes;
    const auto begin = (oldest->first + 4095) / 4096 * 4096;
    const auto end = (oldest->first + oldest->second.bytes) / 4096 * 4096;
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    space.blocks.erase(oldest);
  }
}

bool is_block(const void* address) {
  const auto* block = block_around(address);
  return block != nullptr && block->first == number(address) && block->second.state <= State::usable;
}

int device_of(const void* address) {
  const auto* block = block_around(address);
  if (block == nullptr || number(address) >= block->first + block->second.bytes) return -1;
  return static_cast<int>((number(address) - number(arena().spaces[0].begin)) / span);
}

std::size_t used(int device) { return arena().spaces[static_cast<std::size_t>(device)].used; }

std::size_t limit() { return setting("TARTAN_SIMULATED_CUDA_MEMORY", std::uint64_t{1} << 32); }

void add_pinned(void* address, std::size_t bytes) { arena().pinned[number(address)] = bytes; }
void remove_pinned(void* address) { arena().pinned.erase(number(address)); }
bool pinned_starts(const void* address) { return arena().pinned.contains(number(address)); }
bool is_pinned(const void* address) {
  auto next = arena().pinned.upper_bound(number(address));
  if (next == arena().pinned.begin()) return false;
  --next;
  return number(address) - next->first < next->second;
}

std::string fault(const void* address, std::size_t bytes, int device) {
  const auto first = number(address);
  if (recent.begin <= first && first + bytes <= recent.end && device == recent.device) return {};
  if (!contains(address)) return is_pinned(address) ? "" : "memory of the host that is not page-locked";
  const auto* block = block_around(address);
  if (block == nullptr) return "memory that has not been allocated";
  if (first + bytes > block->first + block->second.bytes) {
    return "byte " + std::to_string(first - block->first) + " of " + std::to_string(block->second.bytes);
  }
  if (block->second.state == State::reserved) return "memory before its allocation has its turn on its stream";
  if (block->second.state != State::usable && block->second.state != State::freeing)
    return "memory that has been freed";
  if (device >= 0 && device_of(address) != device) return "memory of another device";
  recent = {block->first, block->first + block->second.bytes, device};
  return {};
}

void check(const void* address, std::size_t bytes, int device, const char* who) {
  if (bytes == 0) return;
  const auto text = fault(address, bytes, device);
  if (!text.empty()) give_up(std::string{who} + " uses " + text);
}

}  // namespace simulated_cuda::memory
