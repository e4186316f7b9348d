#pragma once

#include <cstddef>
#include <type_traits>

#include "simulated_cuda/vectors.hpp"

namespace simulated_cuda {

/// Fails unless the running kernel may write there; other threads may run before it returns.
void check_atomic(const void* memory, std::size_t bytes);

template <class T, class... Choices>
concept OneOf = (std::is_same_v<T, Choices> || ...);

/// *memory = update(*memory), in one piece. What was there before.
template <class T, class Update>
[[gnu::no_sanitize_thread, gnu::noinline]] T atomically(T* memory, Update update) {
  check_atomic(memory, sizeof(T));
  const T before = *memory;
  *memory = update(before);
  return before;
}

}  // namespace simulated_cuda

#define SIMULATED_CUDA_ATOMIC(name, expression, ...)                                       \
  template <simulated_cuda::OneOf<__VA_ARGS__> T>                                          \
  T name(T* memory, std::type_identity_t<T> value) {                                       \
    return simulated_cuda::atomically(memory, [value](T old) -> T { return expression; }); \
  }
SIMULATED_CUDA_ATOMIC(atomicAdd, old + value, int, unsigned, unsigned long long, float, double)
SIMULATED_CUDA_ATOMIC(atomicSub, old - value, int, unsigned)
SIMULATED_CUDA_ATOMIC(atomicMax, old < value ? value : old, int, unsigned, long long, unsigned long long)
SIMULATED_CUDA_ATOMIC(atomicMin, value < old ? value : old, int, unsigned, long long, unsigned long long)
SIMULATED_CUDA_ATOMIC(atomicExch, (static_cast<void>(old), value), int, unsigned, unsigned long long, float)
SIMULATED_CUDA_ATOMIC(atomicAnd, old& value, int, unsigned, unsigned long long)
SIMULATED_CUDA_ATOMIC(atomicOr, old | value, int, unsigned, unsigned long long)
SIMULATED_CUDA_ATOMIC(atomicXor, old ^ value, int, unsigned, unsigned long long)
#undef SIMULATED_CUDA_ATOMIC

template <simulated_cuda::OneOf<int, unsigned, unsigned short, unsigned long long> T>
T atomicCAS(T* memory, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return simulated_cuda::atomically(memory, [=](T old) -> T { return old == expected ? value : old; });
}

// Element by element on the device too.
inline float2 atomicAdd(float2* memory, float2 value) {
  return {atomicAdd(&memory->x, value.x), atomicAdd(&memory->y, value.y)};
}
inline float4 atomicAdd(float4* memory, float4 value) {
  return {atomicAdd(&memory->x, value.x), atomicAdd(&memory->y, value.y), atomicAdd(&memory->z, value.z),
          atomicAdd(&memory->w, value.w)};
}
