#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include <tartan/base/half_types.hpp>
#include <tartan/base/index.hpp>

#include "kernels/view.hpp"

/// How kernels read ids and move rows: in the widest accesses that all their addresses allow.
namespace tartan::kernels {

inline constexpr int warp_size = 32;
inline constexpr unsigned whole_warp = 0xffffffffU;

/// Ids of 32 or 64 bits: one kernel serves both.
struct Ids {
  const void* data;
  bool wide;

  __device__ Index operator[](Index i) const {
    return wide ? static_cast<Index>(__ldg(static_cast<const long long*>(data) + i))
                : static_cast<Index>(__ldg(static_cast<const int*>(data) + i));
  }
};

template <class I>
Ids ids_of(const I* ids) {
  return {ids, sizeof(I) == 8};
}

/// What one instruction reads or writes: 16, 8, 4 or 2 bytes.
template <std::size_t bytes>
using Access =
    std::conditional_t<bytes == 16, uint4,
                       std::conditional_t<bytes == 8, uint2, std::conditional_t<bytes == 4, unsigned, unsigned short>>>;

/// The widest access, 16 bytes at most, that all these addresses and distances in bytes are multiples of.
inline std::size_t access_bytes(std::initializer_list<const void*> addresses, std::initializer_list<Index> distances) {
  std::uint64_t seen = 16;
  for (const void* address : addresses) seen |= reinterpret_cast<std::uintptr_t>(address);
  for (const Index distance : distances) seen |= static_cast<std::uint64_t>(distance);
  return seen & -seen;
}

/// body(std::type_identity<Access<bytes>>{}) for `bytes` of 16, 8, 4 or 2.
template <class Body>
void with_access(std::size_t bytes, Body body) {
  switch (bytes) {
    case 16:
      return body(std::type_identity<Access<16>>{});
    case 8:
      return body(std::type_identity<Access<8>>{});
    case 4:
      return body(std::type_identity<Access<4>>{});
    default:
      return body(std::type_identity<Access<2>>{});
  }
}

/// As many elements of -0.0, the identity of addition (integers: 0), as a unit of at least one holds.
template <class Unit, class T>
Unit absent() {
  T elements[16 / sizeof(T)];
  std::fill_n(elements, 16 / sizeof(T), static_cast<T>(-0.0));
  Unit unit;
  std::memcpy(&unit, elements, sizeof(Unit));
  return unit;
}

/// `width` elements that one access reads or writes.
template <class T, int width>
struct Pack {
  T of[width];
};

template <int width, class T>
__device__ Pack<T, width> load_pack(const T* from) {
  const auto bits = __ldg(reinterpret_cast<const Access<width * sizeof(T)>*>(from));
  Pack<T, width> pack;
  std::memcpy(&pack, &bits, sizeof(pack));
  return pack;
}

template <int width, class T>
__device__ void store_pack(T* to, const Pack<T, width>& pack) {
  Access<width * sizeof(T)> bits;
  std::memcpy(&bits, &pack, sizeof(pack));
  __stcs(reinterpret_cast<Access<width * sizeof(T)>*>(to), bits);
}

/// body(std::integral_constant<int, width>{}) for packs of 16 bytes, or of one element where 16 do not fit.
template <class T, class Body>
void with_pack(std::size_t bytes, Body body) {
  if (bytes == 16) {
    body(std::integral_constant<int, 16 / sizeof(T)>{});
  } else {
    body(std::integral_constant<int, 1>{});
  }
}

/// The rows [first_row, first_row + rows) of a table but the row `padding` (-1: all). `stride` is counted in elements
/// of U, which may be accesses. The first elements of `data` may be read even where there are no rows.
template <class U>
struct Shard {
  const U* data;
  std::uint64_t first_row;
  std::uint64_t rows;
  Index stride;
  Index padding;

  /// Where the row begins, or -1 if it is not there.
  __device__ Index offset(Index id) const {
    const std::uint64_t local = static_cast<std::uint64_t>(id) - first_row;
    return local < rows && id != padding ? static_cast<Index>(local) * stride : -1;
  }
};

/// `readable` stands in for the memory of a table without rows.
template <class U, class T>
Shard<U> shard_of(Matrix<const T> table, Index first_row, Index padding, const void* readable) {
  return {static_cast<const U*>(table.rows > 0 ? table.data : readable), static_cast<std::uint64_t>(first_row),
          static_cast<std::uint64_t>(table.rows),
          table.stride * static_cast<Index>(sizeof(T)) / static_cast<Index>(sizeof(U)), padding};
}

/// The lanes that read a row of `units` accesses together: a power of two up to a warp.
inline int lanes_for(Index units) {
  return static_cast<int>(std::bit_ceil(static_cast<std::uint64_t>(std::clamp<Index>(units, 1, warp_size))));
}

}  // namespace tartan::kernels
