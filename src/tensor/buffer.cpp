#include <tartan/tensor/buffer.hpp>

#include <sys/mman.h>

#include <new>

#include "base/fail.hpp"

namespace tartan {
namespace {

constexpr std::size_t huge_page = std::size_t{1} << 21;

}  // namespace

Buffer::Buffer(Index bytes, Device device) : bytes_{bytes}, device_{device} {
  require(device.kind == Device::Kind::cpu, "no memory on {}: this build of Tartan has CPU support only",
          device.to_string());
  require(bytes >= 0, "a buffer of {} bytes", bytes);
  if (bytes == 0) return;
  const auto size = static_cast<std::size_t>(bytes);
  const bool large = size >= 2 * huge_page;
  const std::align_val_t align{large ? huge_page : alignment};
  auto* data = static_cast<std::byte*>(::operator new(size, align));
  // Advice only: where the system has no huge pages the call fails and the memory works as it is.
  if (large) (void)::madvise(data, size, MADV_HUGEPAGE);
  data_ = std::shared_ptr<std::byte>(data, [align](std::byte* p) { ::operator delete(p, align); });
}

Buffer Buffer::view(void* data, Index bytes, Device device) {
  Buffer buffer;
  buffer.data_ = std::shared_ptr<std::byte>(static_cast<std::byte*>(data), [](std::byte*) {});
  buffer.bytes_ = bytes;
  buffer.device_ = device;
  return buffer;
}

}  // namespace tartan
