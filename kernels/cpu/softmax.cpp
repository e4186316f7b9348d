#include "kernels/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/row_total.hpp"
#include "kernels/elementary.hpp"

namespace tartan::kernels {
namespace {

/// x = exp(x - most); the sum of them.
TARTAN_MULTIVERSION double exponentials(double* x, double most, Index n) {
  for (Index c = 0; c < n; ++c) x[c] = exp_of_difference(x[c], most);
  return row_total(
      n, [=](Index c) __attribute__((always_inline)) { return x[c]; });
}

/// The greatest; NaN where one is.
double greatest(const double* x, Index n) {
  double most = -std::numeric_limits<double>::infinity();
  for (Index c = 0; c < n; ++c) most = x[c] > most || std::isnan(x[c]) ? x[c] : most;
  return most;
}

/// Calls body(row, scratch) for all rows, with a scratch row of doubles.
template <class Body>
void for_each_row(Index rows, Index columns, Index bytes, Body body) {
  parallel(rows, columns * bytes, [&](Index begin, Index end) {
    std::vector<double> scratch(static_cast<std::size_t>(columns));
    for (Index i = begin; i < end; ++i) body(i, scratch.data());
  });
}

}  // namespace

template <class T>
void softmax_rows(Cpu, Matrix<const T> x, SoftmaxRows rows, Matrix<T> out) {
  for_each_row(x.rows, x.columns, 4 * sizeof(double), [=](Index i, double* row) {
    const Index n = rows.visible(i, x.columns);
    for (Index c = 0; c < n; ++c) row[c] = rows.factor * static_cast<double>(x.row(i)[c]);
    const double sum = exponentials(row, greatest(row, n), n);
    for (Index c = 0; c < n; ++c) out.row(i)[c] = static_cast<T>(row[c] / sum);
    std::fill(out.row(i) + n, out.row(i) + x.columns, T{});
  });
}

template <class T>
void softmax_rows_backward(Cpu, Matrix<const T> y, Matrix<const T> g, SoftmaxRows rows, Matrix<T> out) {
  parallel(y.rows, 3 * y.columns * static_cast<Index>(sizeof(T)), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const T* const p = y.row(i);
      const T* const upstream = g.row(i);
      const Index n = rows.visible(i, y.columns);
      const double sum =
          row_total(n, [=](Index c) { return static_cast<double>(p[c]) * static_cast<double>(upstream[c]); });
      for (Index c = 0; c < n; ++c) {
        out.row(i)[c] =
            static_cast<T>(rows.factor * static_cast<double>(p[c]) * (static_cast<double>(upstream[c]) - sum));
      }
      std::fill(out.row(i) + n, out.row(i) + y.columns, T{});
    }
  });
}

template <class T>
void log_softmax_rows(Cpu, Matrix<const T> x, Matrix<T> out) {
  for_each_row(x.rows, x.columns, 4 * sizeof(double), [=](Index i, double* row) {
    for (Index c = 0; c < x.columns; ++c) row[c] = static_cast<double>(x.row(i)[c]);
    const double most = greatest(row, x.columns);
    const double logarithm = std::log(exponentials(row, most, x.columns));
    for (Index c = 0; c < x.columns; ++c) {
      out.row(i)[c] = static_cast<T>((static_cast<double>(x.row(i)[c]) - most) - logarithm);
    }
  });
}

template <class T>
void log_softmax_rows_backward(Cpu, Matrix<const T> y, Matrix<const T> g, Matrix<T> out) {
  for_each_row(y.rows, y.columns, 4 * sizeof(double), [=](Index i, double* row) {
    const T* const upstream = g.row(i);
    for (Index c = 0; c < y.columns; ++c) row[c] = static_cast<double>(y.row(i)[c]);
    (void)exponentials(row, 0, y.columns);
    const double sum = row_total(y.columns, [=](Index c) { return static_cast<double>(upstream[c]); });
    for (Index c = 0; c < y.columns; ++c) {
      out.row(i)[c] = static_cast<T>(static_cast<double>(upstream[c]) - row[c] * sum);
    }
  });
}

template <class T>
void softmax_of_shard(Cpu, Matrix<const T> x, const double* statistics, bool logarithm, Matrix<T> out) {
  for_each_row(x.rows, x.columns, 4 * sizeof(double), [=](Index i, double* row) {
    const double most = statistics[2 * i];
    const double sum = statistics[2 * i + 1];
    for (Index c = 0; c < x.columns; ++c) row[c] = static_cast<double>(x.row(i)[c]);
    if (logarithm) {
      const double of_sum = std::log(sum);
      for (Index c = 0; c < x.columns; ++c) out.row(i)[c] = static_cast<T>((row[c] - most) - of_sum);
    } else {
      (void)exponentials(row, most, x.columns);
      for (Index c = 0; c < x.columns; ++c) out.row(i)[c] = static_cast<T>(row[c] / sum);
    }
  });
}

template <class T>
void softmax_shard_sums(Cpu, Matrix<const T> y, Matrix<const T> g, bool logarithm, double* sums) {
  parallel(y.rows, 2 * y.columns * static_cast<Index>(sizeof(T)), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const T* const p = y.row(i);
      const T* const upstream = g.row(i);
      sums[i] = row_total(y.columns, [=](Index c) {
        return logarithm ? static_cast<double>(upstream[c])
                         : static_cast<double>(p[c]) * static_cast<double>(upstream[c]);
      });
    }
  });
}

template <class T>
void softmax_of_shard_backward(Cpu, Matrix<const T> y, Matrix<const T> g, const double* sums, bool logarithm,
                               Matrix<T> out) {
  for_each_row(y.rows, y.columns, 4 * sizeof(double), [=](Index i, double* row) {
    const T* const upstream = g.row(i);
    for (Index c = 0; c < y.columns; ++c) row[c] = static_cast<double>(y.row(i)[c]);
    if (logarithm) (void)exponentials(row, 0, y.columns);
    for (Index c = 0; c < y.columns; ++c) {
      const auto given = static_cast<double>(upstream[c]);
      out.row(i)[c] = static_cast<T>(logarithm ? given - row[c] * sums[i] : row[c] * (given - sums[i]));
    }
  });
}

#define INSTANTIATE(T)                                                                                \
  template void softmax_rows(Cpu, Matrix<const T>, SoftmaxRows, Matrix<T>);                           \
  template void softmax_rows_backward(Cpu, Matrix<const T>, Matrix<const T>, SoftmaxRows, Matrix<T>); \
  template void log_softmax_rows(Cpu, Matrix<const T>, Matrix<T>);                                    \
  template void log_softmax_rows_backward(Cpu, Matrix<const T>, Matrix<const T>, Matrix<T>);          \
  template void softmax_of_shard(Cpu, Matrix<const T>, const double*, bool, Matrix<T>);               \
  template void softmax_shard_sums(Cpu, Matrix<const T>, Matrix<const T>, bool, double*);             \
  template void softmax_of_shard_backward(Cpu, Matrix<const T>, Matrix<const T>, const double*, bool, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
