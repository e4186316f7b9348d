#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <type_traits>
#include <vector>

#include <cuda_runtime.h>

// The device-wide function of CUB that Tartan calls, on plain pointers: first with null in place of temporary storage,
// for its size, then with that storage. The work is done in the order of the stream.

namespace simulated_cuda {

/// Enqueues `work` with the temporary storage, once `storage` is not null.
cudaError_t enqueue_algorithm(void* storage, std::size_t& storage_bytes, std::size_t needed, cudaStream_t stream,
                              std::function<void()> work);
/// Give up unless [memory, memory + bytes) may be used by the algorithm that runs.
void check_algorithm(const void* memory, std::size_t bytes);

template <class T>
std::vector<T> load(const T* memory, std::size_t count) {
  check_algorithm(memory, count * sizeof(T));
  return std::vector<T>(memory, memory + count);
}

template <class T>
void store(const std::vector<T>& values, T* memory) {
  check_algorithm(memory, values.size() * sizeof(T));
  std::copy(values.begin(), values.end(), memory);
}

/// Bits of a key that sort as the key does.
template <class Key>
auto sortable(Key key) {
  using Bits =
      std::conditional_t<sizeof(Key) == 8, std::uint64_t,
                         std::conditional_t<sizeof(Key) == 4, std::uint32_t,
                                            std::conditional_t<sizeof(Key) == 2, std::uint16_t, std::uint8_t>>>;
  constexpr auto top = static_cast<Bits>(Bits{1} << (8 * sizeof(Key) - 1));
  const auto bits = std::bit_cast<Bits>(key);
  if constexpr (std::is_unsigned_v<Key>) return bits;
  if constexpr (std::is_floating_point_v<Key>) return static_cast<Bits>((bits & top) != 0 ? ~bits : bits | top);
  return static_cast<Bits>(bits ^ top);
}

template <class Key>
std::vector<std::size_t> sorted(const std::vector<Key>& keys, int begin_bit, int end_bit) {
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto digits = [&](std::size_t i) {
    const auto bits = static_cast<std::uint64_t>(sortable(keys[i]));
    const auto below = end_bit >= 64 ? bits : bits & ((std::uint64_t{1} << end_bit) - 1);
    return below >> begin_bit;
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return digits(a) < digits(b);
  });
  return order;
}

template <class T>
std::vector<T> permuted(const std::vector<T>& values, const std::vector<std::size_t>& order) {
  std::vector<T> result;
  result.reserve(order.size());
  for (const auto i : order) result.push_back(values[i]);
  return result;
}

}  // namespace simulated_cuda

namespace cub {

struct DeviceRadixSort {
  template <class Key, class Value, class Count>
  static cudaError_t SortPairs(void* storage, std::size_t& bytes, const Key* keys_in, Key* keys_out,
                               const Value* values_in, Value* values_out, Count count, int begin_bit = 0,
                               int end_bit = sizeof(Key) * 8, cudaStream_t stream = nullptr) {
    using namespace simulated_cuda;
    const auto n = static_cast<std::size_t>(count);
    return enqueue_algorithm(storage, bytes, n * (sizeof(Key) + sizeof(Value)) + 1, stream, [=] {
      const auto keys = load(keys_in, n);
      const auto values = load(values_in, n);
      const auto order = sorted(keys, begin_bit, end_bit);
      store(permuted(keys, order), keys_out);
      store(permuted(values, order), values_out);
    });
  }
};

}  // namespace cub
