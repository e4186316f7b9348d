#include "kernels/updates.hpp"

#include <cmath>

#include "base/element_types.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/row_lanes.hpp"
#include "kernels/rows.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;

/// body(u, c) for each of `rows` x `columns` elements: a group of lanes takes a row at a time, and all take a single
/// one.
template <class Body>
__global__ void for_elements(Index rows, Index columns, int lane_bits, Body body) {
  const Lanes lanes(lane_bits);
  const bool single = rows == 1;
  const Index u_step = single ? 1 : grid_threads() >> lane_bits;
  const Index c_begin = single ? grid_thread() : lanes.lane, c_step = single ? grid_threads() : lanes.count();
  for (Index u = single ? 0 : grid_thread() >> lane_bits; u < rows; u += u_step) {
    for (Index c = c_begin; c < columns; c += c_step) body(u, c);
  }
}

template <class Body>
void for_each_element(Cuda where, Index rows, Index columns, Body body) {
  if (rows == 0 || columns == 0) return;
  const int bits = plan_layout::lane_bits(columns, 1);
  const dim3 grid = grid_for(rows == 1 ? columns : rows << bits, threads);
  launch(for_elements<Body>, grid, threads, 0, where.stream, rows, columns, bits, body);
}

/// Element (u, c) of a matrix, or of its row rows[u].
template <class T>
__device__ T& element(const Matrix<T>& matrix, Index u, Index c) {
  return matrix.data[u * matrix.stride + c];
}
template <class T>
__device__ T& element(const Matrix<T>& matrix, const Index* rows, Index u, Index c) {
  return element(matrix, rows != nullptr ? rows[u] : u, c);
}

template <class T>
struct Add {
  const Index* rows;
  Matrix<const T> values;
  Matrix<T> table;
  __device__ void operator()(Index u, Index c) const {
    using A = Accumulator<T>;
    T& w = element(table, rows, u, c);
    w = static_cast<T>(static_cast<A>(w) + static_cast<A>(element(values, u, c)));
  }
};

template <class T>
struct Scale {
  const Index* rows;
  const double* factors;
  Matrix<T> table;
  __device__ void operator()(Index u, Index c) const {
    using A = Accumulator<T>;
    if (factors[u] == 1) return;
    T& w = element(table, rows, u, c);
    w = static_cast<T>(static_cast<A>(w) * static_cast<A>(factors[u]));
  }
};

template <class T>
struct SgdStep {
  const Index* rows;
  Matrix<const T> gradient;
  Accumulator<T> rate;
  const Accumulator<T>* rates;  ///< of each row, in place of `rate`, unless null
  Matrix<T> weight;
  __device__ void operator()(Index u, Index c) const {
    using A = Accumulator<T>;
    T& w = element(weight, rows, u, c);
    w = static_cast<T>(static_cast<A>(w) -
                       (rates != nullptr ? rates[u] : rate) * static_cast<A>(element(gradient, u, c)));
  }
};

template <class T>
struct MomentumStep {
  const T* gradient;
  MomentumRule<T> rule;
  Accumulator<T>* buffer;
  T* weight;
  __device__ void operator()(Index, Index i) const {
    using A = Accumulator<T>;
    const A w = static_cast<A>(weight[i]);
    A g = static_cast<A>(gradient[i]);
    if (rule.decay != 0) g = g + rule.decay * w;
    if (rule.momentum != 0) {
      const A kept = rule.momentum * buffer[i] + rule.kept * g;
      buffer[i] = kept;
      g = rule.nesterov ? g + rule.momentum * kept : kept;
    }
    weight[i] = static_cast<T>(w - rule.rate * g);
  }
};

template <class T>
struct AdagradStep {
  const Index* rows;
  Matrix<const T> gradient;
  Accumulator<T> rate, epsilon;
  Matrix<Accumulator<T>> sum;
  Matrix<T> weight;
  __device__ void operator()(Index u, Index c) const {
    using A = Accumulator<T>;
    const A g = static_cast<A>(element(gradient, u, c));
    A& s = element(sum, rows, u, c);
    const A squares = s + g * g;
    s = squares;
    T& w = element(weight, rows, u, c);
    w = static_cast<T>(static_cast<A>(w) - rate * g / (std::sqrt(squares) + epsilon));
  }
};

template <class T>
struct AdamStep {
  const Index* rows;
  Matrix<const T> gradient;
  AdamRule<T> rule;
  Matrix<Accumulator<T>> first, second;
  Matrix<T> weight;
  __device__ void operator()(Index u, Index c) const {
    using A = Accumulator<T>;
    const A g = static_cast<A>(element(gradient, u, c));
    A& m = element(first, rows, u, c);
    A& v = element(second, rows, u, c);
    const A mean = rule.beta1 * m + rule.new1 * g;
    const A squares = rule.beta2 * v + rule.new2 * (g * g);
    m = mean;
    v = squares;
    T& w = element(weight, rows, u, c);
    w = static_cast<T>(static_cast<A>(w) - rule.rate * mean / (rule.root_factor * std::sqrt(squares) + rule.epsilon));
  }
};

}  // namespace

template <class T>
void add_rows(Cuda where, const Index* rows, Index count, Matrix<const T> values, Matrix<T> table) {
  for_each_element(where, count, table.columns, Add<T>{rows, values, table});
}

template <class T>
void scale_rows(Cuda where, const Index* rows, Index count, const double* factors, Matrix<T> table) {
  for_each_element(where, count, table.columns, Scale<T>{rows, factors, table});
}

template <class T>
void sgd_update(Cuda where, const Index* rows, Matrix<const T> gradient, Accumulator<T> rate, Matrix<T> weight) {
  for_each_element(where, gradient.rows, gradient.columns, SgdStep<T>{rows, gradient, rate, nullptr, weight});
}

template <class T>
void momentum_update(Cuda where, const T* gradient, Index n, MomentumRule<T> rule, Accumulator<T>* buffer, T* weight) {
  for_each_element(where, 1, n, MomentumStep<T>{gradient, rule, buffer, weight});
}

template <class T>
void adagrad_update(Cuda where, const Index* rows, Matrix<const T> gradient, Accumulator<T> rate,
                    Accumulator<T> epsilon, Matrix<Accumulator<T>> sum, Matrix<T> weight) {
  for_each_element(where, gradient.rows, gradient.columns, AdagradStep<T>{rows, gradient, rate, epsilon, sum, weight});
}

template <class T>
void adam_update(Cuda where, const Index* rows, Matrix<const T> gradient, AdamRule<T> rule,
                 Matrix<Accumulator<T>> first, Matrix<Accumulator<T>> second, Matrix<T> weight) {
  for_each_element(where, gradient.rows, gradient.columns, AdamStep<T>{rows, gradient, rule, first, second, weight});
}

template <class T>
void rowwise_update(Cuda where, const Index* rows, Matrix<const T> gradient, const Accumulator<T>* rates,
                    Matrix<T> weight) {
  for_each_element(where, gradient.rows, gradient.columns, SgdStep<T>{rows, gradient, 0, rates, weight});
}

#define TARTAN_INSTANTIATE(T)                                                                         \
  template void add_rows(Cuda, const Index*, Index, Matrix<const T>, Matrix<T>);                      \
  template void scale_rows(Cuda, const Index*, Index, const double*, Matrix<T>);                      \
  template void sgd_update(Cuda, const Index*, Matrix<const T>, Accumulator<T>, Matrix<T>);           \
  template void momentum_update(Cuda, const T*, Index, MomentumRule<T>, Accumulator<T>*, T*);         \
  template void adagrad_update(Cuda, const Index*, Matrix<const T>, Accumulator<T>, Accumulator<T>,   \
                               Matrix<Accumulator<T>>, Matrix<T>);                                    \
  template void adam_update(Cuda, const Index*, Matrix<const T>, AdamRule<T>, Matrix<Accumulator<T>>, \
                            Matrix<Accumulator<T>>, Matrix<T>);                                       \
  template void rowwise_update(Cuda, const Index*, Matrix<const T>, const Accumulator<T>*, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
