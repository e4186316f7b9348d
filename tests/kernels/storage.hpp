#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <new>
#include <random>
#include <type_traits>
#include <vector>

#include "kernels/view.hpp"

namespace tartan::kernels::testing {

/// Random numbers of very different sizes, so that a sum shows the order of its terms; integers for integer types.
template <class T>
T draw(std::mt19937_64& random) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(random());
  } else {
    return static_cast<T>(std::ldexp(std::normal_distribution<double>{}(random), static_cast<int>(random() % 12)));
  }
}

/// Memory that begins with a line of the cache.
template <class T>
struct LineAllocator {
  using value_type = T;
  LineAllocator() = default;
  template <class U>
  explicit LineAllocator(const LineAllocator<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{64})); }
  void deallocate(T* data, std::size_t) { ::operator delete (data, std::align_val_t{64}); }
  friend bool operator==(LineAllocator, LineAllocator) { return true; }
};

/// A matrix of random numbers whose rows lie `gap` elements apart and which begins `offset` elements into its memory.
template <class T>
class Storage {
 public:
  Storage(Index rows, Index columns, Index gap = 0, Index offset = 0, std::uint64_t seed = 1)
      : rows_{rows}, columns_{columns}, stride_{columns + gap}, offset_{offset}, memory_(offset + rows * stride_) {
    std::mt19937_64 random{seed};
    for (T& value : memory_) value = draw<T>(random);
  }

  Matrix<T> view() { return {memory_.data() + offset_, rows_, columns_, stride_}; }
  Matrix<const T> read() const { return {memory_.data() + offset_, rows_, columns_, stride_}; }

  /// All of its memory, in which the first row begins offset() elements after the first.
  std::vector<T> memory() const { return {memory_.begin(), memory_.end()}; }
  Index offset() const { return offset_; }

  /// The same bits, those between the rows included; NaN equals itself and -0.0 is not 0.
  friend bool operator==(const Storage& a, const Storage& b) {
    return a.memory_.size() == b.memory_.size() &&
           (a.memory_.empty() || std::memcmp(a.memory_.data(), b.memory_.data(), a.memory_.size() * sizeof(T)) == 0);
  }

 private:
  Index rows_, columns_, stride_, offset_;
  std::vector<T, LineAllocator<T>> memory_;
};

template <class T>
bool same_bits(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

inline bool close(double value, double expected, double relative_error) {
  return std::abs(value - expected) <= relative_error * std::abs(expected);
}

/// 0, ..., 70, 128, 1000: every tail of every vector width, and every width with code of its own.
inline std::vector<Index> widths() {
  std::vector<Index> all;
  for (Index w = 0; w <= 70; ++w) all.push_back(w);
  all.insert(all.end(), {128, 1000});
  return all;
}

/// `count` ids from [low, high), the lower ones far more often.
template <class I>
std::vector<I> skewed_ids(Index count, Index low, Index high, std::uint64_t seed = 2) {
  std::mt19937_64 random{seed};
  std::uniform_real_distribution<double> uniform;
  std::vector<I> ids(count);
  for (I& id : ids)
    id = static_cast<I>(low + static_cast<Index>(static_cast<double>(high - low) * std::pow(uniform(random), 4)));
  return ids;
}

}  // namespace tartan::kernels::testing
