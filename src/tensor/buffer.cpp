#include <tartan/tensor/buffer.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

#include "base/fail.hpp"
#include "device/memory.hpp"

namespace tartan {
namespace {

constexpr std::size_t huge_page = std::size_t{1} << 21;
constexpr std::size_t least_kept = std::size_t{1} << 16;

struct Block {
  std::byte* data;
  std::size_t size;

  bool large() const { return size >= 2 * huge_page; }
  std::align_val_t align() const { return std::align_val_t{large() ? huge_page : Buffer::alignment}; }
};

Block fresh(std::size_t size) {
  Block block{nullptr, size};
  block.data = static_cast<std::byte*>(::operator new(size, block.align()));
  // Advice only: where the system has no huge pages the call fails and the memory works as it is.
  if (block.large()) (void)::madvise(block.data, size, MADV_HUGEPAGE);
  return block;
}

void release(Block block) noexcept { ::operator delete(block.data, block.align()); }

/// Freed blocks that wait for the next buffer of like size: the first touch of fresh memory costs as much as a copy.
class Kept {
 public:
  static Kept& instance() {
    static auto* const kept = new Kept;  // never destroyed: buffers may be freed after any static object
    return *kept;
  }

  Block take(std::size_t size) {
    const std::scoped_lock lock(mutex_);
    const auto fits = [size](const Block& block) { return size <= block.size && block.size / 2 <= size; };
    const auto newest = std::find_if(blocks_.rbegin(), blocks_.rend(), fits);
    if (newest == blocks_.rend()) return fresh(size);
    const Block block = *newest;
    total_ -= block.size;
    blocks_.erase(std::next(newest).base());
    return block;
  }

  void give(Block block) noexcept {
    const std::scoped_lock lock(mutex_);
    if (block.size > limit_) return release(block);
    make_room(limit_ - block.size);
    try {
      blocks_.push_back(block);
      total_ += block.size;
    } catch (const std::bad_alloc&) {
      release(block);
    }
  }

  void set_limit(std::size_t limit) {
    const std::scoped_lock lock(mutex_);
    limit_ = limit;
    make_room(limit);
  }

 private:
  /// Releases the oldest blocks until the rest has at most `size` bytes.
  void make_room(std::size_t size) noexcept {
    auto keep = blocks_.begin();
    for (; total_ > size; ++keep) {
      total_ -= keep->size;
      release(*keep);
    }
    blocks_.erase(blocks_.begin(), keep);
  }

  std::mutex mutex_;
  std::vector<Block> blocks_;  ///< oldest first
  std::size_t total_ = 0;
  std::size_t limit_ = std::size_t{1} << 27;
};

}  // namespace

Buffer::Buffer(Index bytes, Device device) : bytes_{bytes}, device_{device} {
  require(bytes >= 0, "a buffer of {} bytes", bytes);
  device::require_present(device);
  if (bytes == 0) return;
  const auto size = static_cast<std::size_t>(bytes);
  if (!device.is_cpu()) {
    data_ = std::shared_ptr<std::byte>(device::allocate(device, size),
                                       [device](std::byte* data) { device::release(device, data); });
    return;
  }
  const Block block = size < least_kept ? fresh(size) : Kept::instance().take(size);
  data_ = std::shared_ptr<std::byte>(block.data, [size = block.size](std::byte* data) {
    const Block freed{data, size};
    size < least_kept ? release(freed) : Kept::instance().give(freed);
  });
}

Buffer Buffer::view(void* data, Index bytes, Device device) {
  Buffer buffer;
  buffer.data_ = std::shared_ptr<std::byte>(static_cast<std::byte*>(data), [](std::byte*) {});
  buffer.bytes_ = bytes;
  buffer.device_ = device;
  return buffer;
}

void Buffer::keep_at_most(Index bytes) {
  require(bytes >= 0, "buffers cannot keep {} bytes", bytes);
  Kept::instance().set_limit(static_cast<std::size_t>(bytes));
}

}  // namespace tartan
