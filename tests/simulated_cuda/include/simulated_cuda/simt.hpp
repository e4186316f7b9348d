#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "cuda_runtime_api.h"

// What a kernel may ask of its block and warp. Each thread of a block is a fiber; one runs until it waits in one of
// these functions, or, now and then, at an access to memory.

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace simulated_cuda {

cudaError_t enqueue_kernel(const cudaLaunchConfig_t& config, const void* function, void (*call)(const void*),
                           std::shared_ptr<const void> arguments, std::size_t bytes);
cudaError_t set_function_attribute(const void* function, cudaFuncAttribute attribute, int value);
cudaError_t resident_blocks(int* blocks, const void* function, int threads, std::size_t shared_bytes);

/// The block's dynamic shared memory.
void* dynamic_shared_memory();

/// What threads wait for together: all of a block, or the lanes of a mask.
enum class Meeting { block, warp, shuffle, ballot, match };

/// Waits for all threads of the block. The sum of `value`.
int meet_block(int value);
/// Waits for the lanes of `mask`. shuffle: `value` of lane `source`; ballot: the lanes where `value` is not 0; match:
/// the lanes with the same `value`.
std::uint64_t meet_lanes(Meeting meeting, unsigned mask, std::uint64_t value = 0, int source = 0);

int lane();

template <class T>
requires(std::is_arithmetic_v<T> && sizeof(T) >= 4) T shuffle(unsigned mask, T value, int source) {
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  return std::bit_cast<T>(static_cast<Bits>(meet_lanes(Meeting::shuffle, mask, std::bit_cast<Bits>(value), source)));
}

}  // namespace simulated_cuda

inline void __syncthreads() { simulated_cuda::meet_block(0); }
inline int __syncthreads_count(int predicate) { return simulated_cuda::meet_block(predicate != 0); }
inline int __syncthreads_or(int predicate) { return simulated_cuda::meet_block(predicate != 0) > 0; }
inline int __syncthreads_and(int predicate) { return simulated_cuda::meet_block(predicate == 0) == 0; }

inline void __syncwarp(unsigned mask = 0xffffffffU) { simulated_cuda::meet_lanes(simulated_cuda::Meeting::warp, mask); }
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return static_cast<unsigned>(simulated_cuda::meet_lanes(simulated_cuda::Meeting::ballot, mask, predicate != 0));
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate == 0) == 0; }

template <class T>
unsigned __match_any_sync(unsigned mask, T value) {
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  return static_cast<unsigned>(
      simulated_cuda::meet_lanes(simulated_cuda::Meeting::match, mask, std::bit_cast<Bits>(value)));
}

// Lanes are grouped by `width`; a source outside of the group is the own lane.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize) {
  return simulated_cuda::shuffle(mask, value, (simulated_cuda::lane() & -width) + (source & (width - 1)));
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = warpSize) {
  const int own = simulated_cuda::lane();
  const int source = own - static_cast<int>(distance);
  return simulated_cuda::shuffle(mask, value, source < (own & -width) ? own : source);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = warpSize) {
  const int own = simulated_cuda::lane();
  const int source = own + static_cast<int>(distance);
  return simulated_cuda::shuffle(mask, value, source >= (own & -width) + width ? own : source);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = warpSize) {
  const int own = simulated_cuda::lane();
  const int source = own ^ bits;
  return simulated_cuda::shuffle(mask, value, source >= (own & -width) + width ? own : source);
}
