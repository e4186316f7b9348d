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

// The device-wide functions of CUB that Tartan calls, on plain pointers: first with null in place of temporary storage,
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
std::vector<std::size_t> sorted(const std::vector<Key>& keys, int begin_bit, int end_bit, bool descending) {
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto digits = [&](std::size_t i) {
    const auto bits = static_cast<std::uint64_t>(sortable(keys[i]));
    const auto below = end_bit >= 64 ? bits : bits & ((std::uint64_t{1} << end_bit) - 1);
    return below >> begin_bit;
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return descending ? digits(a) > digits(b) : digits(a) < digits(b);
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

/// Two buffers, of which current() holds the values. As on the device, which of them that is afterwards is not said
/// before.
template <class T>
struct DoubleBuffer {
  T* d_buffers[2];
  int selector = 0;
  DoubleBuffer(T* current, T* alternate) : d_buffers{current, alternate} {}
  T* Current() { return d_buffers[selector]; }
  T* Alternate() { return d_buffers[selector ^ 1]; }
};

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
      const auto order = sorted(keys, begin_bit, end_bit, false);
      store(permuted(keys, order), keys_out);
      store(permuted(values, order), values_out);
    });
  }

  template <class Key, class Value, class Count>
  static cudaError_t SortPairs(void* storage, std::size_t& bytes, DoubleBuffer<Key>& keys, DoubleBuffer<Value>& values,
                               Count count, int begin_bit = 0, int end_bit = sizeof(Key) * 8,
                               cudaStream_t stream = nullptr) {
    const auto status = SortPairs(storage, bytes, keys.Current(), keys.Alternate(), values.Current(),
                                  values.Alternate(), count, begin_bit, end_bit, stream);
    if (storage != nullptr) {
      keys.selector ^= 1;
      values.selector ^= 1;
    }
    return status;
  }

  template <class Key, class Count>
  static cudaError_t SortKeys(void* storage, std::size_t& bytes, const Key* keys_in, Key* keys_out, Count count,
                              int begin_bit = 0, int end_bit = sizeof(Key) * 8, cudaStream_t stream = nullptr) {
    using namespace simulated_cuda;
    const auto n = static_cast<std::size_t>(count);
    return enqueue_algorithm(storage, bytes, n * sizeof(Key) + 1, stream, [=] {
      const auto keys = load(keys_in, n);
      store(permuted(keys, sorted(keys, begin_bit, end_bit, false)), keys_out);
    });
  }
};

struct DeviceScan {
  template <class In, class Out, class Count>
  static cudaError_t ExclusiveSum(void* storage, std::size_t& bytes, const In* in, Out* out, Count count,
                                  cudaStream_t stream = nullptr) {
    using namespace simulated_cuda;
    const auto n = static_cast<std::size_t>(count);
    return enqueue_algorithm(storage, bytes, n / 16 + 1, stream, [=] {
      const auto values = load(in, n);
      std::vector<Out> sums(n);
      std::exclusive_scan(values.begin(), values.end(), sums.begin(), Out{});
      store(sums, out);
    });
  }

  template <class In, class Out, class Count>
  static cudaError_t InclusiveSum(void* storage, std::size_t& bytes, const In* in, Out* out, Count count,
                                  cudaStream_t stream = nullptr) {
    using namespace simulated_cuda;
    const auto n = static_cast<std::size_t>(count);
    return enqueue_algorithm(storage, bytes, n / 16 + 1, stream, [=] {
      const auto values = load(in, n);
      std::vector<Out> sums(n);
      std::inclusive_scan(values.begin(), values.end(), sums.begin(), std::plus<>{}, Out{});
      store(sums, out);
    });
  }
};

struct DeviceSelect {
  template <class T, class Flag, class Selected, class Count>
  static cudaError_t Flagged(void* storage, std::size_t& bytes, const T* in, const Flag* flags, T* out,
                             Selected* selected, Count count, cudaStream_t stream = nullptr) {
    using namespace simulated_cuda;
    const auto n = static_cast<std::size_t>(count);
    return enqueue_algorithm(storage, bytes, n / 16 + 1, stream, [=] {
      const auto values = load(in, n);
      const auto chosen = load(flags, n);
      std::vector<T> kept;
      for (std::size_t i = 0; i < n; ++i) {
        if (chosen[i]) kept.push_back(values[i]);
      }
      store(kept, out);
      store(std::vector<Selected>{static_cast<Selected>(kept.size())}, selected);
    });
  }
};

struct DeviceReduce {
  template <class In, class Out, class Count>
  static cudaError_t Sum(void* storage, std::size_t& bytes, const In* in, Out* out, Count count,
                         cudaStream_t stream = nullptr) {
    return reduce(storage, bytes, in, out, count, stream, Out{}, [](Out a, Out b) { return static_cast<Out>(a + b); });
  }
  template <class In, class Out, class Count>
  static cudaError_t Max(void* storage, std::size_t& bytes, const In* in, Out* out, Count count,
                         cudaStream_t stream = nullptr) {
    return reduce(storage, bytes, in, out, count, stream, std::numeric_limits<Out>::lowest(),
                  [](Out a, Out b) { return a < b ? b : a; });
  }
  template <class In, class Out, class Count>
  static cudaError_t Min(void* storage, std::size_t& bytes, const In* in, Out* out, Count count,
                         cudaStream_t stream = nullptr) {
    return reduce(storage, bytes, in, out, count, stream, std::numeric_limits<Out>::max(),
                  [](Out a, Out b) { return b < a ? b : a; });
  }

 private:
  template <class In, class Out, class Count, class Op>
  static cudaError_t reduce(void* storage, std::size_t& bytes, const In* in, Out* out, Count count, cudaStream_t stream,
                            Out initial, Op op) {
    using namespace simulated_cuda;
    const auto n = static_cast<std::size_t>(count);
    return enqueue_algorithm(storage, bytes, n / 16 + 1, stream, [=] {
      Out result = initial;
      for (const auto value : load(in, n)) result = op(result, static_cast<Out>(value));
      store(std::vector<Out>{result}, out);
    });
  }
};

}  // namespace cub
