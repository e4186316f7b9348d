#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <vector>

#include "internal.hpp"

// Devices, their properties and errors.

namespace simulated_cuda {

int devices() {
  return static_cast<int>(std::min<std::uint64_t>(setting("TARTAN_SIMULATED_CUDA_DEVICES", 2), most_devices));
}

namespace {

constexpr int processors = 2;
constexpr int threads_per_block = 1024;
constexpr int threads_per_processor = 2048;
constexpr int shared_always = 48 * 1024;
constexpr int shared_on_demand = 227 * 1024;

std::map<const void*, int>& shared_limits() {
  static auto* const it = new std::map<const void*, int>;
  return *it;
}

int shared_limit(const void* function) {
  const auto found = shared_limits().find(function);
  return found == shared_limits().end() ? shared_always : found->second;
}

struct Error {
  cudaError_t code;
  const char* name;
  const char* text;
};
constexpr Error errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorHostMemoryAlreadyRegistered, "cudaErrorHostMemoryAlreadyRegistered",
     "part or all of the requested memory range is already mapped"},
    {cudaErrorHostMemoryNotRegistered, "cudaErrorHostMemoryNotRegistered",
     "pointer does not correspond to a registered memory region"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
};

const Error* find_error(cudaError_t code) {
  for (const auto& error : errors) {
    if (error.code == code) return &error;
  }
  return nullptr;
}

}  // namespace

cudaError_t set_function_attribute(const void* function, cudaFuncAttribute attribute, int value) {
  const Call call;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value < 0 || value > shared_on_demand) return failed(cudaErrorInvalidValue);
  shared_limits()[function] = std::max(value, shared_always);
  return cudaSuccess;
}

cudaError_t resident_blocks(int* blocks, const void*, int threads, std::size_t shared_bytes) {
  if (threads <= 0 || threads > threads_per_block) return failed(cudaErrorInvalidValue);
  const auto by_memory = shared_bytes == 0 ? 32 : static_cast<int>(shared_on_demand / shared_bytes);
  *blocks = std::min({threads_per_processor / threads, 32, by_memory});
  return cudaSuccess;
}

cudaError_t enqueue_kernel(const cudaLaunchConfig_t& config, const void* function, void (*invoke)(const void*),
                           std::shared_ptr<const void> arguments, std::size_t bytes) {
  const Call call;
  auto* stream = find(config.stream);
  if (stream == nullptr || device_of(*stream) != current_device()) return failed(cudaErrorInvalidResourceHandle);
  const auto [gx, gy, gz] = config.gridDim;
  const auto [bx, by, bz] = config.blockDim;
  const bool grid_fits = 0 < gx && gx <= 0x7fffffff && 0 < gy && gy <= 65535 && 0 < gz && gz <= 65535;
  const bool block_fits = 0 < bx && bx <= 1024 && 0 < by && by <= 1024 && 0 < bz && bz <= 64 &&
                          std::uint64_t{bx} * by * bz <= threads_per_block;
  if (!grid_fits || !block_fits) return failed(cudaErrorInvalidConfiguration);
  if (config.dynamicSmemBytes > static_cast<std::size_t>(shared_limit(function))) return failed(cudaErrorInvalidValue);
  const Launch launch{function,         config.gridDim, config.blockDim,      config.dynamicSmemBytes,
                      current_device(), invoke,         std::move(arguments), bytes};
  enqueue(*stream, [launch] { run(launch); });
  return cudaSuccess;
}

}  // namespace simulated_cuda

using namespace simulated_cuda;

extern "C" {

const char* cudaGetErrorName(cudaError_t error) {
  const auto* found = find_error(error);
  return found == nullptr ? "unrecognized error code" : found->name;
}
const char* cudaGetErrorString(cudaError_t error) {
  const auto* found = find_error(error);
  return found == nullptr ? "unrecognized error code" : found->text;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = devices();
  return *count > 0 ? cudaSuccess : failed(cudaErrorNoDevice);
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device < 0 || device >= devices()) return failed(cudaErrorInvalidDevice);
  static const std::map<cudaDeviceAttr, int> values{
      {cudaDevAttrMaxThreadsPerBlock, threads_per_block},
      {cudaDevAttrMaxSharedMemoryPerBlock, shared_always},
      {cudaDevAttrWarpSize, 32},
      {cudaDevAttrMultiProcessorCount, processors},
      {cudaDevAttrMaxThreadsPerMultiProcessor, threads_per_processor},
      {cudaDevAttrComputeCapabilityMajor, 9},
      {cudaDevAttrComputeCapabilityMinor, 0},
      {cudaDevAttrMaxSharedMemoryPerMultiprocessor, shared_on_demand + 1024},
      {cudaDevAttrMaxSharedMemoryPerBlockOptin, shared_on_demand},
      {cudaDevAttrMemoryPoolsSupported, 1},
  };
  const auto found = values.find(attribute);
  if (found == values.end()) return failed(cudaErrorInvalidValue);
  *value = found->second;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= devices()) return failed(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof(properties->name), "simulated device %d", device);
  properties->uuid.bytes[0] = 1;  // the processes of a node see the same devices
  properties->uuid.bytes[1] = static_cast<char>(device);
  properties->totalGlobalMem = memory::limit();
  properties->sharedMemPerBlock = shared_always;
  properties->sharedMemPerBlockOptin = shared_on_demand;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = threads_per_block;
  properties->maxThreadsPerMultiProcessor = threads_per_processor;
  properties->multiProcessorCount = processors;
  properties->major = 9;
  properties->l2CacheSize = 1 << 20;
  properties->memoryBusWidth = 5120;
  return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  if (std::min(device, peer) < 0 || std::max(device, peer) >= devices()) return failed(cudaErrorInvalidDevice);
  *can = 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) { return failed(cudaErrorInvalidDevice); }

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return cudaRuntimeGetVersion(version); }

}  // extern "C"
