#pragma once

// CUDA's short vectors, with its alignments.

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned nx = 1, unsigned ny = 1, unsigned nz = 1) : x{nx}, y{ny}, z{nz} {}
};

#define SIMULATED_CUDA_VECTORS(T, name)                             \
  struct alignas(2 * sizeof(T)) name##2 {                           \
    T x, y;                                                         \
  };                                                                \
  struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) name##4 { \
    T x, y, z, w;                                                   \
  };                                                                \
  constexpr name##2 make_##name##2(T x, T y) { return {x, y}; }     \
  constexpr name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

SIMULATED_CUDA_VECTORS(char, char)
SIMULATED_CUDA_VECTORS(unsigned char, uchar)
SIMULATED_CUDA_VECTORS(short, short)
SIMULATED_CUDA_VECTORS(unsigned short, ushort)
SIMULATED_CUDA_VECTORS(int, int)
SIMULATED_CUDA_VECTORS(unsigned, uint)
SIMULATED_CUDA_VECTORS(long long, longlong)
SIMULATED_CUDA_VECTORS(unsigned long long, ulonglong)
SIMULATED_CUDA_VECTORS(float, float)
SIMULATED_CUDA_VECTORS(double, double)
#undef SIMULATED_CUDA_VECTORS
