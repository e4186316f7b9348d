#include <algorithm>
#include <vector>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/row_total.hpp"
#include "kernels/normalized_row.hpp"

namespace tartan::kernels {
namespace {

/// Calls body(i) for the rows of `x`, `passes` of which are read or written.
template <class T, class Body>
void for_each_row(Matrix<const T> x, Index passes, Body body) {
  parallel(x.rows, passes * x.columns * static_cast<Index>(sizeof(T)), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) body(i);
  });
}

}  // namespace

template <class T>
void row_moments(Cpu, Matrix<const T> x, bool centred, Moments* moments) {
  for_each_row(x, 2, [=](Index i) {
    const T* const row = x.row(i);
    const auto count = static_cast<double>(x.columns);
    const double mean = centred && x.columns > 0
                            ? row_total(x.columns, [=](Index c) { return static_cast<double>(row[c]); }) / count
                            : 0;
    const double squares = row_total(x.columns, [=](Index c) {
      const double deviation = static_cast<double>(row[c]) - mean;
      return deviation * deviation;
    });
    moments[i] = {count, mean, squares};
  });
}

void merge_moments(Cpu, const Moments* parts, Index count, Index rows, Moments* out) {
  for (Index i = 0; i < rows; ++i) {
    Moments sum{0, 0, 0};
    for (Index k = 0; k < count; ++k) sum = merged(sum, parts[k * rows + i]);
    out[i] = sum;
  }
}

template <class T>
void normalize_rows(Cpu, NormalizedRows<T> rows, const T* bias, Matrix<T> out) {
  for_each_row(rows.x, 2, [=](Index i) {
    const NormalizedRow<T> row(rows, i);
    T* const to = out.row(i);
    for (Index c = 0; c < out.columns; ++c) {
      const double value = row.weighted(row(c), c);
      to[c] = static_cast<T>(bias == nullptr ? value : value + static_cast<double>(bias[c]));
    }
  });
}

template <class T>
void normalization_sums(Cpu, NormalizedRows<T> rows, Matrix<const T> g, double* sums) {
  for_each_row(rows.x, 2, [=](Index i) {
    const NormalizedRow<T> row(rows, i);
    const T* const upstream = g.row(i);
    const auto weighted = [=](Index c) { return row.weighted(static_cast<double>(upstream[c]), c); };
    sums[2 * i] = row_total(g.columns, weighted);
    sums[2 * i + 1] = row_total(g.columns, [=](Index c) { return weighted(c) * row(c); });
  });
}

template <class T>
void normalize_rows_backward(Cpu, NormalizedRows<T> rows, Matrix<const T> g, const double* sums, bool centred,
                             Matrix<T> out) {
  for_each_row(rows.x, 3, [=](Index i) {
    const NormalizedRow<T> row(rows, i);
    const T* const upstream = g.row(i);
    T* const to = out.row(i);
    const double constant = centred ? sums[2 * i] / row.count : 0;
    const double linear = sums[2 * i + 1] / row.count;
    for (Index c = 0; c < out.columns; ++c) {
      const double weighted = row.weighted(static_cast<double>(upstream[c]), c);
      to[c] = static_cast<T>((weighted - constant - row(c) * linear) * row.scale);
    }
  });
}

template <class T>
void normalization_column_sums(Cpu, NormalizedRows<T> rows, Matrix<const T> g, T* weight, T* bias) {
  std::vector<double> weights(static_cast<std::size_t>(g.columns)), biases(weights.size());
  for (Index i = 0; i < g.rows; ++i) {
    const NormalizedRow<T> row(rows, i);
    const T* const upstream = g.row(i);
    for (Index c = 0; c < g.columns; ++c) {
      weights[static_cast<std::size_t>(c)] += static_cast<double>(upstream[c]) * row(c);
      biases[static_cast<std::size_t>(c)] += static_cast<double>(upstream[c]);
    }
  }
  const auto round = [](double sum) { return static_cast<T>(sum); };
  if (weight != nullptr) std::ranges::transform(weights, weight, round);
  if (bias != nullptr) std::ranges::transform(biases, bias, round);
}

#define INSTANTIATE(T)                                                                                            \
  template void row_moments(Cpu, Matrix<const T>, bool, Moments*);                                                \
  template void normalize_rows(Cpu, NormalizedRows<T>, const T*, Matrix<T>);                                      \
  template void normalization_sums(Cpu, NormalizedRows<T>, Matrix<const T>, double*);                             \
  template void normalize_rows_backward(Cpu, NormalizedRows<T>, Matrix<const T>, const double*, bool, Matrix<T>); \
  template void normalization_column_sums(Cpu, NormalizedRows<T>, Matrix<const T>, T*, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
