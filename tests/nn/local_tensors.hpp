#pragma once

#include "nn/oracle.hpp"

/// Plain tensors from and against the oracle's lists.
namespace tartan::testing {

template <class I>
Tensor<I> ids_of(const Shape& shape, const std::vector<Index>& list) {
  Tensor<I> ids(shape);
  std::ranges::transform(list, ids.data(), [](Index id) { return static_cast<I>(id); });
  return ids;
}

template <class T>
bool same_bits(const Tensor<T>& tensor, const std::vector<T>& expected) {
  const auto found = tensor.span();
  return found.size() == expected.size() &&
         (found.empty() || std::memcmp(found.data(), expected.data(), found.size_bytes()) == 0);
}

}  // namespace tartan::testing
