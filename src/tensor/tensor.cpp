#include <tartan/tensor/tensor.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan {

template <class T>
Tensor<T> Tensor<T>::from(Shape shape, std::span<const T> values) {
  require(shape.elements() == static_cast<Index>(values.size()), "{} values were given for the shape {}", values.size(),
          shape);
  Tensor result(std::move(shape));
  std::ranges::copy(values, result.data());
  return result;
}

template <class T>
Tensor<T> Tensor<T>::view(Shape shape, T* data, Device device) {
  Tensor result;
  result.buffer_ = Buffer::view(data, checked_multiply(shape.elements(), static_cast<Index>(sizeof(T))), device);
  result.shape_ = std::move(shape);
  return result;
}

template <class T>
Tensor<T> Tensor<T>::clone() const {
  return from(shape_, span());
}

template <class T>
Tensor<T> Tensor<T>::reshaped(Shape shape) const {
  require(shape.elements() == elements(), "{} elements of the shape {} cannot take the shape {}", elements(), shape_,
          shape);
  Tensor result = *this;
  result.shape_ = std::move(shape);
  return result;
}

#define INSTANTIATE(T) template class Tensor<T>;
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
