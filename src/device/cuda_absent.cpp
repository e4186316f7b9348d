#include "base/fail.hpp"
#include "device/memory.hpp"

// Takes the place of cuda_runtime.cpp in a build without CUDA.
namespace tartan {
namespace {

[[noreturn]] void absent(Device device) {
  fail("nothing can be done on {}: this build of Tartan has CPU support only (configure with -DTARTAN_CUDA=ON)",
       device);
}

}  // namespace

namespace cuda {

bool built_in() noexcept { return false; }
int device_count() noexcept { return 0; }
CUstream_st* stream(Device device) { absent(device); }
StreamScope::StreamScope(Device device, CUstream_st*) : device_{device} {
  if (!device.is_cpu()) absent(device);
}
StreamScope::~StreamScope() { (void)before_; }
void synchronize(Device device) {
  if (!device.is_cpu()) absent(device);
}

}  // namespace cuda

namespace device {

Current::Current(Device device) {
  if (!device.is_cpu()) absent(device);
}
Current::~Current() { (void)before_; }
void require_present(Device device) {
  if (!device.is_cpu()) absent(device);
}
std::byte* allocate(Device device, std::size_t) { absent(device); }
void release(Device, std::byte*) noexcept {}
void copy(Device to, void*, Device from, const void*, std::size_t) { absent(to.is_cpu() ? from : to); }
Staged::Staged(std::size_t, Device) { absent(Device::cuda()); }
void copy_later(Device device, void*, const void*, std::size_t) { absent(device); }
void give_back_later(Device device, Staged) { absent(device); }
Mark::Mark(Device device) { absent(device); }
void Mark::wait() const {}
bool Mark::passed() const { return true; }

}  // namespace device
}  // namespace tartan
