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
constexpr std::size_t kept = std::size_t{1} << 24;  // of freed memory whose addresses are not used again yet
constexpr int poison = 0xff;                        // NaN, or -1
constexpr std::size_t most_poisoned = std::size_t{1} << 24;

enum class State { reserved, usable, freeing, freed };

struct Block {
  std::size_t bytes;
  State state;
  bool shareable = false;
};

struct Space {
  char* begin = nullptr;
  std::size_t high = 0;  // what has been given out at any time
  std::size_t next = 0;  // where the search for a place begins
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

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

constexpr std::uintptr_t page = 4096;

/// All pages that have any of these bytes.
void protect(std::uintptr_t begin, std::size_t bytes, int how) {
  const auto first = begin / page * page;
  if (bytes > 0) mprotect(reinterpret_cast<void*>(first), begin + bytes - first, how);
}
void protect(int how) {
  for (const auto& space : arena().spaces) protect(number(space.begin), space.high, how);
}

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

/// The first place for so many bytes in [begin, end), where no block lies across `begin`; 0 if there is none.
std::uintptr_t place(const Space& space, std::size_t bytes, std::uintptr_t begin, std::uintptr_t end) {
  for (auto next = space.blocks.lower_bound(begin); next != space.blocks.end() && next->first < end; ++next) {
    if (next->first - begin >= room(bytes)) return begin;
    begin = next->first + room(next->second.bytes);
  }
  return begin + room(bytes) <= end ? begin : 0;
}

/// An address range that is free again, or new: behind the one before, so that none is used again soon.
std::uintptr_t place(Space& space, std::size_t bytes) {
  const auto begin = number(space.begin);
  auto found = place(space, bytes, begin + space.next, begin + space.high);
  if (found == 0) found = place(space, bytes, begin, begin + space.high);
  if (found == 0) {
    if (space.high + room(bytes) > span) return 0;
    found = begin + space.high;
    space.high += room(bytes);
  }
  space.next = found + room(bytes) - begin;
  return found;
}

/// Gives the system back what no block has a part of around `address`.
void give_back(const Space& space, std::uintptr_t address) {
  const auto next = space.blocks.lower_bound(address);
  const auto end = next == space.blocks.end() ? number(space.begin) + space.high : next->first;
  auto begin = number(space.begin);
  if (next != space.blocks.begin()) {
    const auto before = std::prev(next);
    begin = before->first + room(before->second.bytes);
  }
  const auto first = (begin + page - 1) / page * page, last = end / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
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
  auto* memory = reinterpret_cast<void*>(address);
  protect(address, bytes, PROT_READ | PROT_WRITE);
  std::memset(memory, poison, std::min(bytes, most_poisoned));
  if (!arena().opened) protect(address, bytes, PROT_NONE);
  return memory;
}

void make_usable(void* block) { block_around(block)->second.state = State::usable; }

void make_shareable(void* block) { block_around(block)->second.shareable = true; }

bool is_shareable(const void* address) {
  const auto* block = block_around(address);
  return block != nullptr && block->second.shareable && block->second.state <= State::usable;
}

void start_free(void* block) { block_around(block)->second.state = State::freeing; }

void finish_free(void* address) {
  Space& space = *space_of(address);
  Block& block = space.blocks.at(number(address));
  recent = {};
  block.state = State::freed;
  space.used -= block.bytes;
  space.freed.push_back(number(address));
  space.freed_bytes += room(block.bytes);
  std::memset(address, poison, std::min(block.bytes, most_poisoned));
  while (space.freed_bytes > kept) {
    const auto oldest = space.blocks.find(space.freed.front());
    space.freed.pop_front();
    space.freed_bytes -= room(oldest->second.bytes);
    const auto begin = oldest->first;
    space.blocks.erase(oldest);
    give_back(space, begin);
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
