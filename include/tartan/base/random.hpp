#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <tartan/base/index.hpp>

namespace tartan {

/// Philox4x32-10, a counter-based generator: a bijection of the 128-bit `counter` under a 64-bit `key`.
/// Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// Random numbers that are a function of (seed, name, index), whoever asks: the same table on every grid.
/// The key is the seed; the counter is the index and the 64-bit FNV-1a hash of the name.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view name);

  /// 128 random bits of position `index`.
  std::array<std::uint32_t, 4> bits(Index index) const;
  /// Uniform on [0, 1), 53 bits.
  double uniform(Index index) const;
  /// Standard normal, by Box and Muller's transform of two uniforms of 53 and 64 bits.
  double normal(Index index) const;
  /// Uniform on 0, ..., bound - 1 (bound >= 1), without bias beyond 2^-64 · bound.
  Index below(Index index, Index bound) const;

  std::uint64_t seed() const noexcept { return seed_; }
  std::uint64_t hashed_name() const noexcept { return name_; }

 private:
  std::uint64_t seed_;
  std::uint64_t name_;
};

}  // namespace tartan
