#pragma once

#include <cmath>
#include <span>

#include <tartan/base/index.hpp>

namespace word_vectors {

using tartan::Index;

/// A (words, dimension) table, row-major, in the caller's memory: row i is the vector of word i of the vocabulary.
struct Vectors {
  std::span<const float> values;
  Index dimension;

  std::span<const float> operator[](Index row) const {
    return values.subspan(static_cast<std::size_t>(row * dimension), static_cast<std::size_t>(dimension));
  }
};

/// The cosine of the angle between two vectors of the same length, summed in double; 0 where one of them is 0.
inline double cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0.0;
}

}  // namespace word_vectors
