#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "internal.hpp"

// Allocations, copies and fills.

struct CUmemPoolHandle_st {
  int device;
  std::size_t threshold = 0;
};

namespace simulated_cuda {
namespace {

CUmemPoolHandle_st& default_pool(int device) {
  static auto* const pools = new std::vector<CUmemPoolHandle_st>([] {
    std::vector<CUmemPoolHandle_st> made;
    for (int d = 0; d < most_devices; ++d) made.push_back({d});
    return made;
  }());
  return (*pools)[static_cast<std::size_t>(device)];
}

cudaError_t allocate(void** memory, std::size_t bytes, int device) {
  *memory = nullptr;
  if (devices() == 0) return failed(cudaErrorNoDevice);
  if (bytes == 0) return cudaSuccess;
  *memory = memory::reserve(device, bytes);
  if (*memory == nullptr) {  // frees that wait for their turn
    finish_all();
    *memory = memory::reserve(device, bytes);
  }
  return *memory == nullptr ? failed(cudaErrorMemoryAllocation) : cudaSuccess;
}

struct Plane {
  char* data;
  std::size_t pitch;
};

void copy_rows(Plane target, Plane source, std::size_t width, std::size_t height) {
  for (std::size_t i = 0; i < height; ++i) {
    char* to = target.data + i * target.pitch;
    const char* from = source.data + i * source.pitch;
    if (memory::contains(to)) memory::check(to, width, -1, "a copy");
    if (memory::contains(from)) memory::check(from, width, -1, "a copy");
    std::memmove(to, from, width);
  }
}

bool fits(cudaMemcpyKind kind, const void* target, const void* source) {
  const bool to_device = memory::contains(target);
  const bool from_device = memory::contains(source);
  switch (kind) {
    case cudaMemcpyHostToHost:
      return !to_device && !from_device;
    case cudaMemcpyHostToDevice:
      return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
      return !to_device && from_device;
    case cudaMemcpyDeviceToDevice:
      return to_device && from_device;
    default:
      return true;
  }
}

cudaError_t copy(Plane target, Plane source, std::size_t width, std::size_t height, cudaMemcpyKind kind,
                 CUstream_st& stream) {
  if (width == 0 || height == 0) return cudaSuccess;
  if (target.data == nullptr || source.data == nullptr || width > target.pitch || width > source.pitch ||
      !fits(kind, target.data, source.data)) {
    return failed(cudaErrorInvalidValue);
  }
  const auto pageable = [](const void* memory) { return !memory::contains(memory) && !memory::is_pinned(memory); };
  if (pageable(source.data)) {  // it may be overwritten at once
    auto kept = std::make_shared<std::vector<char>>(width * height);
    copy_rows({kept->data(), width}, source, width, height);
    enqueue(stream, [=] { copy_rows(target, {kept->data(), width}, width, height); });
  } else {
    enqueue(stream, [=] { copy_rows(target, source, width, height); });
  }
  if (pageable(target.data)) finish(stream);
  return cudaSuccess;
}

cudaError_t fill(Plane target, int value, std::size_t width, std::size_t height, cudaStream_t handle) {
  auto* stream = find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (width == 0 || height == 0) return cudaSuccess;
  if (!memory::contains(target.data) || width > target.pitch) return failed(cudaErrorInvalidValue);
  enqueue(*stream, [=] {
    for (std::size_t i = 0; i < height; ++i) {
      char* row = target.data + i * target.pitch;
      memory::check(row, width, -1, "a fill");
      std::memset(row, value, width);
    }
  });
  return cudaSuccess;
}

Plane plane(const void* data, std::size_t pitch) { return {static_cast<char*>(const_cast<void*>(data)), pitch}; }

}  // namespace
}  // namespace simulated_cuda

using namespace simulated_cuda;

extern "C" {

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const Call call;
  const auto status = allocate(memory, bytes, current_device());
  if (*memory != nullptr) {
    memory::make_usable(*memory);
    memory::make_shareable(*memory);
  }
  return status;
}

cudaError_t cudaFree(void* memory) {
  const Call call;
  if (memory == nullptr) return cudaSuccess;
  if (!memory::is_block(memory)) return failed(cudaErrorInvalidValue);
  finish_all();
  memory::open();
  memory::finish_free(memory);
  return cudaSuccess;
}

cudaError_t cudaMallocFromPoolAsync(void** memory, std::size_t bytes, cudaMemPool_t pool, cudaStream_t handle) {
  const Call call;
  auto* stream = find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (pool == nullptr) return failed(cudaErrorInvalidValue);
  const auto status = allocate(memory, bytes, pool->device);
  if (void* const block = *memory; block != nullptr) enqueue(*stream, [block] { memory::make_usable(block); });
  return status;
}

cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t handle) {
  const Call call;
  const auto* stream = find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  return cudaMallocFromPoolAsync(memory, bytes, &default_pool(device_of(*stream)), handle);
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t handle) {
  const Call call;
  auto* stream = find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (memory == nullptr) return cudaSuccess;
  if (!memory::is_block(memory)) return failed(cudaErrorInvalidValue);
  memory::start_free(memory);
  enqueue(*stream, [memory] { memory::finish_free(memory); });
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  const Call call;
  *memory = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (*memory == nullptr) return failed(cudaErrorMemoryAllocation);
  std::memset(*memory, 0xff, bytes);
  memory::add_pinned(*memory, bytes);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) { return cudaHostAlloc(memory, bytes, 0); }

cudaError_t cudaFreeHost(void* memory) {
  const Call call;
  if (memory == nullptr) return cudaSuccess;
  if (!memory::pinned_starts(memory)) return failed(cudaErrorInvalidValue);
  finish_all();
  memory::remove_pinned(memory);
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned) {
  const Call call;
  if (memory == nullptr || bytes == 0) return failed(cudaErrorInvalidValue);
  if (memory::is_pinned(memory)) return failed(cudaErrorHostMemoryAlreadyRegistered);
  memory::add_pinned(memory, bytes);
  return cudaSuccess;
}

cudaError_t cudaHostUnregister(void* memory) {
  const Call call;
  if (!memory::pinned_starts(memory)) return failed(cudaErrorHostMemoryNotRegistered);
  finish_all();
  memory::remove_pinned(memory);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const Call call;
  *total = memory::limit();
  *free = *total - memory::used(current_device());
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory) {
  const Call call;
  auto* const address = const_cast<void*>(memory);
  *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, address};
  if (memory::is_pinned(memory)) *attributes = {cudaMemoryTypeHost, current_device(), address, address};
  if (const int device = memory::device_of(memory); device >= 0) {
    *attributes = {cudaMemoryTypeDevice, device, address, nullptr};
  }
  return cudaSuccess;
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  const int device = properties->location.id;
  if (properties->allocType != cudaMemAllocationTypePinned || properties->location.type != cudaMemLocationTypeDevice ||
      device < 0 || device >= devices()) {
    return failed(cudaErrorInvalidValue);
  }
  *pool = new CUmemPoolHandle_st{device};
  return cudaSuccess;
}
cudaError_t cudaMemPoolDestroy(cudaMemPool_t) { return cudaSuccess; }  // a few bytes; blocks may still be around
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t) { return cudaSuccess; }
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  if (attribute == cudaMemPoolAttrReleaseThreshold) std::memcpy(&pool->threshold, value, sizeof(pool->threshold));
  return cudaSuccess;
}
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  const Call call;
  if (attribute == cudaMemPoolAttrReleaseThreshold) {
    std::memcpy(value, &pool->threshold, sizeof(pool->threshold));
  } else if (attribute >= cudaMemPoolAttrReservedMemCurrent) {
    const auto used = memory::used(pool->device);
    std::memcpy(value, &used, sizeof(used));
  } else {
    return failed(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  if (device < 0 || device >= devices()) return failed(cudaErrorInvalidDevice);
  *pool = &default_pool(device);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int device) { return cudaDeviceGetDefaultMemPool(pool, device); }

cudaError_t cudaMemcpy2DAsync(void* target, std::size_t target_pitch, const void* source, std::size_t source_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind, cudaStream_t handle) {
  const Call call;
  auto* stream = find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  return copy(plane(target, target_pitch), plane(source, source_pitch), width, height, kind, *stream);
}
cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t handle) {
  return cudaMemcpy2DAsync(target, bytes, source, bytes, bytes, 1, kind, handle);
}
cudaError_t cudaMemcpyPeerAsync(void* target, int, const void* source, int, std::size_t bytes, cudaStream_t handle) {
  return cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, handle);
}
cudaError_t cudaMemcpy(void* target, const void* source, std::size_t bytes, cudaMemcpyKind kind) {
  const Call call;
  const auto status = cudaMemcpyAsync(target, source, bytes, kind, nullptr);
  finish(*find(nullptr));
  return status;
}

cudaError_t cudaMemset2DAsync(void* memory, std::size_t pitch, int value, std::size_t width, std::size_t height,
                              cudaStream_t handle) {
  const Call call;
  return fill(plane(memory, pitch), value, width, height, handle);
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t handle) {
  return cudaMemset2DAsync(memory, bytes, value, bytes, 1, handle);
}
cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  return cudaMemsetAsync(memory, value, bytes, nullptr);
}

}  // extern "C"
