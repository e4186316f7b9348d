#pragma once

#include <cmath>

#include "kernels/normalization.hpp"

namespace tartan::kernels {

/// One of NormalizedRows, on every device.
template <class T>
struct NormalizedRow {
  const T* x;
  const T* weight;
  double mean;
  double count;
  double scale;  ///< 1 / sqrt(squares / count + epsilon)

  constexpr NormalizedRow(const NormalizedRows<T>& rows, Index i)
      : x{rows.x.row(i)},
        weight{rows.weight},
        mean{rows.moments[i].mean},
        count{rows.moments[i].count},
        scale{1 / std::sqrt(rows.moments[i].squares / count + rows.epsilon)} {}

  /// x̂
  constexpr double operator()(Index c) const { return (static_cast<double>(x[c]) - mean) * scale; }
  /// factor·weight
  constexpr double weighted(double factor, Index c) const {
    return weight == nullptr ? factor : factor * static_cast<double>(weight[c]);
  }
};

/// Those of both parts.
constexpr Moments merged(Moments a, Moments b) {
  const double count = a.count + b.count;
  if (count == 0) return a;
  const double difference = b.mean - a.mean;
  return {count, a.mean + difference * (b.count / count),
          a.squares + b.squares + difference * difference * (a.count * b.count / count)};
}

}  // namespace tartan::kernels
