#include <cmath>
#include <functional>

#include "base/element_types.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/row_sums.hpp"
#include "kernels/rows.hpp"
#include "kernels/updates.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;

struct Sum {
  constexpr double operator()(double a, double b) const { return a + b; }
};
/// A NaN stays.
struct Largest {
  constexpr double operator()(double a, double b) const { return b != b || b > a ? b : a; }
};
struct Magnitude {
  __device__ double operator()(double w) const { return w; }
};
struct Square {
  __device__ double operator()(double w) const { return w * w; }
};
struct Power {
  double power;
  __device__ double operator()(double w) const { return std::pow(w, power); }
};

/// A warp to a row: its leaves, or where `whole` what they make together.
template <class T, class Term, class Combine>
__global__ void reduce_rows(Matrix<const T> table, const Index* rows, Index count, Term term, Combine combine,
                            bool whole, double* out) {
  const Index leaves = (table.columns + leaf - 1) / leaf;
  for (Index u = grid_thread() / 32; u < count; u += grid_threads() / 32) {
    const T* const row = table.data + (rows != nullptr ? rows[u] : u) * table.stride;
    const auto of_column = [&](Index c) { return term(std::abs(static_cast<double>(row[c]))); };
    if (whole) {
      const double sum = row_sum(table.columns, of_column, combine, 0.0);
      if (threadIdx.x % 32 == 0) out[u] = sum;
    } else {
      for (Index k = 0; k < leaves; ++k) {
        const double sum = leaf_sum(k, table.columns, of_column, combine);
        if (threadIdx.x % 32 == 0) out[u * leaves + k] = sum;
      }
    }
  }
}

template <class T>
void reduce(Cuda where, Matrix<const T> table, const Index* rows, Index count, double power, bool whole, double* out) {
  const auto with = [&]<class Term, class Combine>(Term term, Combine combine) {
    launch(reduce_rows<T, Term, Combine>, grid_for(count * 32, threads), threads, 0, where.stream, table, rows, count,
           term, combine, whole, out);
  };
  if (std::isinf(power)) {
    with(Magnitude{}, Largest{});
  } else if (power == 2) {
    with(Square{}, Sum{});
  } else if (power == 1) {
    with(Magnitude{}, Sum{});
  } else {
    with(Power{power}, Sum{});
  }
}

__global__ void make_factors(double* norms, Index count, double power, double max_norm) {
  for (Index u = grid_thread(); u < count; u += grid_threads()) {
    const double norm = std::isinf(power) || power == 1 ? norms[u]
                        : power == 2                    ? std::sqrt(norms[u])
                                                        : std::pow(norms[u], 1 / power);
    norms[u] = norm > max_norm ? max_norm / (norm + 1e-7) : 1;
  }
}

}  // namespace

template <class T>
void row_power_sums(Cuda where, Matrix<const T> table, const Index* rows, Index count, double power, double* out) {
  reduce(where, table, rows, count, power, true, out);
}

template <class T>
void leaf_power_sums(Cuda where, Matrix<const T> table, const Index* rows, Index count, double power, double* out) {
  reduce(where, table, rows, count, power, false, out);
}

void norm_factors(Cuda where, double* norms, Index count, double power, double max_norm) {
  launch(make_factors, grid_for(count, threads), threads, 0, where.stream, norms, count, power, max_norm);
}

template <class T>
void row_squares(Cuda where, Matrix<const T> gradient, double* sums) {
  reduce(where, gradient, nullptr, gradient.rows, 2, true, sums);
}

template <class T>
void leaf_squares(Cuda where, Matrix<const T> gradient, double* out) {
  reduce(where, gradient, nullptr, gradient.rows, 2, false, out);
}

#define TARTAN_INSTANTIATE(T)                                                                 \
  template void row_power_sums(Cuda, Matrix<const T>, const Index*, Index, double, double*);  \
  template void leaf_power_sums(Cuda, Matrix<const T>, const Index*, Index, double, double*); \
  template void row_squares(Cuda, Matrix<const T>, double*);                                  \
  template void leaf_squares(Cuda, Matrix<const T>, double*);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
