#pragma once

#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <tartan/base/half_types.hpp>
#include <tartan/comm/agreement.hpp>
#include <tartan/comm/communicator.hpp>

namespace tartan::testing {

/// Element `i` of source `source`: different for every pair in use, and exact in every type (for bytes: modulo 256). Of
/// the half types, numbers from 1 on that fill all their digits: float adds a few of them exactly, they do not.
template <class T>
T value(Index source, Index i) {
  if constexpr (std::is_same_v<T, std::byte>) {
    return static_cast<std::byte>((source * 89 + i * 7 + i / 256) & 0xff);
  } else if constexpr (is_half_type<T>) {
    return T::from_bits(static_cast<std::uint16_t>(T(1).bits + ((source * 89 + i * 7 + i / 256) & 0x3ff)));
  } else {
    return static_cast<T>(source * 4096 + i - 1000);
  }
}

template <class T>
std::vector<T> values(Index source, Index n, Index first = 0) {
  std::vector<T> result(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = value<T>(source, first + static_cast<Index>(i));
  return result;
}

template <class T>
std::vector<T> zeros(Index n) {
  return std::vector<T>(static_cast<std::size_t>(n));
}

inline Index total(std::span<const Index> counts) { return std::accumulate(counts.begin(), counts.end(), Index{0}); }

struct NamedCounts {
  std::string name;
  std::vector<Index> counts;
};

/// Equal, uneven, with empty ranks, all empty, and larger than the chunks that the tests set.
inline std::vector<NamedCounts> count_patterns(int ranks) {
  std::vector<NamedCounts> patterns{{"equal", {}}, {"uneven", {}}, {"last only", {}}, {"none", {}}, {"large", {}}};
  for (Index r = 0; r < ranks; ++r) {
    patterns[0].counts.push_back(5);
    patterns[1].counts.push_back(3 * r % 4);
    patterns[2].counts.push_back(r == ranks - 1 ? 3 : 0);
    patterns[3].counts.push_back(0);
    patterns[4].counts.push_back(301 + 97 * (r % 3));
  }
  return patterns;
}

/// Sets the chunk size for one scope, on every rank.
class ChunkScope {
 public:
  explicit ChunkScope(Index bytes) : before_{chunk_bytes()} { set_chunk_bytes(bytes); }
  ~ChunkScope() { set_chunk_bytes(before_); }
  ChunkScope(const ChunkScope&) = delete;
  ChunkScope& operator=(const ChunkScope&) = delete;

 private:
  Index before_;
};

/// The default; one that a large call needs several of; one that divides no element size; less than one element.
inline std::vector<Index> chunk_sizes() { return {chunk_bytes(), 1024, 1001, 3}; }

/// Sets what is checked for one scope, on every rank.
class ChecksScope {
 public:
  explicit ChecksScope(Checks checks) : before_{tartan::checks()} { set_checks(checks); }
  ~ChecksScope() { set_checks(before_); }
  ChecksScope(const ChecksScope&) = delete;
  ChecksScope& operator=(const ChecksScope&) = delete;

 private:
  Checks before_;
};

template <class T>
std::span<const T> in(const std::vector<T>& data) {
  return data;
}

}  // namespace tartan::testing
