#pragma once

#include <span>
#include <type_traits>

#include <tartan/base/half_types.hpp>
#include <tartan/base/shape.hpp>
#include <tartan/tensor/buffer.hpp>

namespace tartan {

/// A local tensor: row-major elements of one rank, owned or viewing the caller's memory. Copies share the elements, as
/// copies of a pointer do; clone() copies them. Elements on a device are read and written by what runs there: span()
/// and
/// [] throw Error for them, data() is the device's pointer, and to(Device{}) brings a copy to the host.
template <class T>
class Tensor {
  static_assert((std::is_arithmetic_v<T> || is_half_type<T>)&&!std::is_same_v<T, bool>);

 public:
  using value_type = T;

  /// Shape (0), no memory.
  Tensor() : shape_{0} {}
  /// Uninitialised elements.
  explicit Tensor(Shape shape, Device device = {})
      : shape_{std::move(shape)}, buffer_{checked_multiply(shape_.elements(), static_cast<Index>(sizeof(T))), device} {}
  Tensor(Shape shape, T value) : Tensor(std::move(shape)) { fill(value); }

  /// Elements copied from `values` in row-major order; throws Error where their number differs.
  static Tensor from(Shape shape, std::span<const T> values);
  /// The caller's memory as a tensor; it must outlive every copy of the result.
  static Tensor view(Shape shape, T* data, Device device = {});

  const Shape& shape() const noexcept { return shape_; }
  Index elements() const noexcept { return shape_.elements(); }
  Device device() const noexcept { return buffer_.device(); }

  T* data() noexcept { return reinterpret_cast<T*>(buffer_.data()); }
  const T* data() const noexcept { return reinterpret_cast<const T*>(buffer_.data()); }
  /// Of a tensor that lives on, not of a temporary one, with whose memory the span would go.
  std::span<T> span() & {
    require_on_host();
    return {data(), static_cast<std::size_t>(elements())};
  }
  std::span<const T> span() const& {
    require_on_host();
    return {data(), static_cast<std::size_t>(elements())};
  }
  std::span<const T> span() const&& = delete;
  /// Not for long loops: asks each time where the elements are. span() asks once.
  T& operator[](Index flat) {
    require_on_host();
    return data()[flat];
  }
  const T& operator[](Index flat) const {
    require_on_host();
    return data()[flat];
  }

  void fill(T value);
  Tensor clone() const;
  /// The elements on `device`: this tensor itself where they are there, otherwise a copy. To the host: waits for it.
  Tensor to(Device device) const;
  /// The same elements under another shape of as many elements; throws Error otherwise.
  Tensor reshaped(Shape shape) const;

 private:
  void require_on_host() const {
    if (!device().is_cpu()) require_host_reads();
  }
  void require_host_reads() const;

  Shape shape_;
  Buffer buffer_;
};

/// The identity of addition: -0.0 for floating types (x + -0.0 is x for every x, also for x = -0.0), 0 for integers.
template <class T>
constexpr T additive_identity() {
  return is_floating<T> ? -T{} : T{};
}

extern template class Tensor<float>;
extern template class Tensor<double>;
extern template class Tensor<bfloat16>;
extern template class Tensor<half>;
extern template class Tensor<std::int32_t>;
extern template class Tensor<std::int64_t>;

}  // namespace tartan
