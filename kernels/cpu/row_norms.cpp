#include <algorithm>
#include <cmath>

#include "base/element_types.hpp"
#include "kernels/rows.hpp"

namespace tartan::kernels {
namespace {

/// The fold of `term(|w|)` over a row, left to right.
template <class T, class Term>
double fold_row(const T* row, Index columns, Term term) {
  double result = 0;
  for (Index c = 0; c < columns; ++c) result = term(result, std::abs(static_cast<double>(row[c])));
  return result;
}

}  // namespace

template <class T>
void row_power_sums(Cpu, Matrix<const T> table, const Index* rows, Index count, double power, double* out) {
  for (Index u = 0; u < count; ++u) {
    const T* row = table.row(rows[u]);
    if (std::isinf(power)) {
      out[u] = fold_row(row, table.columns, [](double m, double w) { return std::isnan(w) || w > m ? w : m; });
    } else if (power == 2) {
      out[u] = fold_row(row, table.columns, [](double sum, double w) { return sum + w * w; });
    } else if (power == 1) {
      out[u] = fold_row(row, table.columns, [](double sum, double w) { return sum + w; });
    } else {
      out[u] = fold_row(row, table.columns, [power](double sum, double w) { return sum + std::pow(w, power); });
    }
  }
}

template <class T>
void scale_rows(Cpu, const Index* rows, Index count, const double* factors, Matrix<T> table) {
  for (Index u = 0; u < count; ++u) {
    if (factors[u] == 1) continue;
    T* row = table.row(rows != nullptr ? rows[u] : u);
    for (Index c = 0; c < table.columns; ++c) row[c] = static_cast<T>(row[c] * static_cast<T>(factors[u]));
  }
}

#define INSTANTIATE(T)                                                                      \
  template void row_power_sums(Cpu, Matrix<const T>, const Index*, Index, double, double*); \
  template void scale_rows(Cpu, const Index*, Index, const double*, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
