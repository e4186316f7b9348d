#pragma once

#include <limits>
#include <string>
#include <vector>

#include "nn/oracle.hpp"

namespace tartan::testing {

/// The numbers of values.py's dyadic().
inline std::vector<double> dyadic(Index count, Index factor, Index shift, Index modulus, double denominator) {
  std::vector<double> numbers;
  for (Index i = 0; i < count; ++i) {
    numbers.push_back(static_cast<double>((factor * i + shift) % modulus - modulus / 2) / denominator);
  }
  return numbers;
}

template <class T>
DistributedTensor<T> placed_values(const Distribution& d, const std::vector<double>& whole) {
  return DistributedTensor<T>::from_function(
      d, [&](std::span<const Index> index) { return whole[static_cast<std::size_t>(d.shape().flat(index))]; });
}

/// This rank's part is that part of PyTorch's numbers, all of them of the order of 1, to within a few roundings.
template <class T>
bool agrees(const DistributedTensor<T>& tensor, const std::vector<double>& whole) {
  const auto expected = held(tensor.distribution(), whole);
  return std::ranges::equal(tensor.local().span(), expected, [](T a, double b) {
    return std::abs(static_cast<double>(a) - b) <= 8 * std::numeric_limits<T>::epsilon();
  });
}

template <class T>
std::string suffix() {
  return sizeof(T) == 4 ? ", float" : ", double";
}

}  // namespace tartan::testing
