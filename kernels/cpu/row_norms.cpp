#include <algorithm>
#include <cmath>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/lanes.hpp"
#include "kernels/cpu/row_sum.hpp"
#include "kernels/rows.hpp"

namespace tartan::kernels {
namespace {

/// Calls `reduce` with what an element |w| gives to Σ |w|^power, or to max |w|, and with how two such values combine.
template <class Reduce>
void with_power(double power, Reduce reduce) {
  const auto sum = [](double a, double b) { return a + b; };
  if (std::isinf(power)) {
    reduce([](double w) { return w; }, [](double a, double b) { return std::isnan(b) || b > a ? b : a; });
  } else if (power == 2) {
    reduce([](double w) { return w * w; }, sum);
  } else if (power == 1) {
    reduce([](double w) { return w; }, sum);
  } else {
    reduce([power](double w) { return std::pow(w, power); }, sum);
  }
}

}  // namespace

template <class T>
void row_power_sums(Cpu, Matrix<const T> table, const Index* rows, Index count, double power, double* out) {
  with_power(power, [&](auto term, auto combine) {
    parallel(count, table.columns * sizeof(T), [&](Index begin, Index end) {
      for (Index u = begin; u < end; ++u) {
        const T* row = table.row(rows[u]);
        out[u] = row_sum(
            table.columns, [&](Index c) { return term(std::abs(static_cast<double>(row[c]))); }, combine, 0.0);
      }
    });
  });
}

template <class T>
void leaf_power_sums(Cpu, Matrix<const T> table, const Index* rows, Index count, double power, double* out) {
  with_power(power, [&](auto term, auto combine) {
    parallel(count, table.columns * sizeof(T), [&](Index begin, Index end) {
      for (Index u = begin; u < end; ++u) {
        const T* row = table.row(rows[u]);
        leaves(
            table.columns, [&](Index c) { return term(std::abs(static_cast<double>(row[c]))); }, combine,
            out + u * leaves_of(table.columns));
      }
    });
  });
}

void norm_factors(Cpu, double* norms, Index count, double power, double max_norm) {
  for (Index u = 0; u < count; ++u) {
    const double norm = std::isinf(power) || power == 1 ? norms[u]
                        : power == 2                    ? std::sqrt(norms[u])
                                                        : std::pow(norms[u], 1 / power);
    norms[u] = norm > max_norm ? max_norm / (norm + 1e-7) : 1;
  }
}

template <class T>
void scale_rows(Cpu, const Index* rows, Index count, const double* factors, Matrix<T> table) {
  using A = Accumulator<T>;
  parallel(count, table.columns * sizeof(T), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      if (factors[u] == 1) continue;
      T* row = table.row(rows != nullptr ? rows[u] : u);
      for (Index c = 0; c < table.columns; ++c)
        row[c] = static_cast<T>(static_cast<A>(row[c]) * static_cast<A>(factors[u]));
    }
  });
}

#define INSTANTIATE(T)                                                                       \
  template void row_power_sums(Cpu, Matrix<const T>, const Index*, Index, double, double*);  \
  template void leaf_power_sums(Cpu, Matrix<const T>, const Index*, Index, double, double*); \
  template void scale_rows(Cpu, const Index*, Index, const double*, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
