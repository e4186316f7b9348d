#include "kernels/class_statistics.hpp"

#include <cmath>

#include "base/element_types.hpp"
#include "kernels/accumulator.hpp"
#include "kernels/cuda/elements.hpp"
#include "kernels/cuda/launch.hpp"

namespace tartan::kernels {
namespace {

constexpr int warp = 32;
constexpr int block = 256;
constexpr Index narrow = 1024;  // columns up to which a row is a warp's, not a block's
constexpr int most_fields = 6;

/// What a thread has seen of a row so far: statistics in which s and q are in the accumulator's type for as long as m
/// stays.
template <class T>
struct Seen {
  using A = Accumulator<T>;
  A m = -std::numeric_limits<A>::infinity();
  A s = 0, q = 0;
  double u = 0, weights = 0;

  __device__ void add(A x) {
    if (x > m) {
      const A shift = m - x;
      const A factor = exp_negative(-shift);
      q = factor > 0 ? factor * (q + s * shift) : A{0};
      s = s * factor + 1 + (x - x);  // of +infinity NaN, as e^(x - m) is
      m = x;
    } else if (m != -std::numeric_limits<A>::infinity() || x != x) {
      const A shift = x - m;
      const A e = exp_negative(-shift);
      s += e;
      q += e > 0 ? e * shift : A{0};
      if (x != x) s = x;
    }
  }

  /// w·x is added up, and m taken off when the row has been seen.
  __device__ void add_weighted(A x, double weight) {
    if (weight != 0) u += weight * static_cast<double>(x);
    weights += weight;
  }

  __device__ void write(int fields, double* out) const {
    const double of[most_fields] = {static_cast<double>(m), static_cast<double>(s), 0, 0, 0, weights};
    for (int field = 0; field < fields; ++field) out[field] = of[field];
    if (fields == 4) out[3] = static_cast<double>(q);
    if (fields == 6) out[4] = static_cast<double>(m) == no_logit ? u : u - weights * static_cast<double>(m);
  }
};

/// A row for each block of `threads` threads.
template <int threads, class T>
__global__ void __launch_bounds__(threads)
    row_statistics(Matrix<const T> logits, const T* weights, int fields, double* statistics) {
  __shared__ double of_threads[threads * most_fields];
  const int thread = static_cast<int>(threadIdx.x);
  double* const mine = of_threads + thread * most_fields;
  for (Index r = blockIdx.x; r < logits.rows; r += gridDim.x) {
    const T* const row = logits.row(r);
    Seen<T> seen;
    for (Index c = thread; c < logits.columns; c += threads) {
      const auto x = static_cast<Accumulator<T>>(row[c]);
      seen.add(x);
      if (fields == 6) seen.add_weighted(x, weights == nullptr ? 1 : static_cast<double>(weights[c]));
    }
    seen.write(fields, mine);
    for (int half = threads / 2; half > 0; half /= 2) {
      __syncthreads();
      if (thread < half) combine_statistics(mine + half * most_fields, mine, fields);
    }
    if (thread < 1) {
      for (int field = 0; field < fields; ++field) statistics[r * fields + field] = mine[field];
    }
    __syncthreads();
  }
}

template <class T, class I>
__global__ void pick(Matrix<const T> logits, const I* targets, Index first_class, Index ignored, const T* weights,
                     int fields, double* statistics) {
  for (Index r = grid_thread(); r < logits.rows; r += grid_threads()) {
    const auto target = static_cast<Index>(targets[r]);
    const Index column = target - first_class;
    if (target == ignored || column < 0 || column >= logits.columns) continue;
    statistics[r * fields + 2] = static_cast<double>(logits.row(r)[column]);
    if (fields == 6) statistics[r * fields + 3] = weights == nullptr ? 1 : static_cast<double>(weights[column]);
  }
}

__global__ void combine(const double* shards, Index parts, Index rows, int fields, double* out) {
  for (Index r = grid_thread(); r < rows; r += grid_threads()) {
    double sums[most_fields];
    for (int field = 0; field < fields; ++field) sums[field] = shards[r * fields + field];
    for (Index p = 1; p < parts; ++p) combine_statistics(shards + (p * rows + r) * fields, sums, fields);
    for (int field = 0; field < fields; ++field) out[r * fields + field] = sums[field];
  }
}

template <class I>
__global__ void losses_of(const double* statistics, int fields, const I* targets, Index rows, ClassLoss loss,
                          double* losses, double* weights) {
  for (Index r = grid_thread(); r < rows; r += grid_threads()) {
    const double* const row = statistics + r * fields;
    const bool counts = static_cast<Index>(targets[r]) != loss.ignored;
    losses[r] = counts ? loss.of(row, fields, std::log(row[1])) : 0;
    weights[r] = counts ? loss.weight(row, fields) : 0;
  }
}

template <class T>
__global__ void divide(const double* a, const double* by, Index n, T* out) {
  for (Index i = grid_thread(); i < n; i += grid_threads()) {
    out[i] = static_cast<T>(by == nullptr ? a[i] : a[i] / *by);
  }
}

template <class T>
__global__ void log_sums(const double* statistics, int fields, Index rows, T* out) {
  for (Index r = grid_thread(); r < rows; r += grid_threads()) {
    out[r] = static_cast<T>(statistics[r * fields] + std::log(statistics[r * fields + 1]));
  }
}

template <class T>
__global__ void entropies(const double* statistics, Index rows, T* out) {
  for (Index r = grid_thread(); r < rows; r += grid_threads()) {
    out[r] = static_cast<T>(entropy_of(statistics + r * 4, std::log(statistics[r * 4 + 1])));
  }
}

/// An element of the gradient of class_losses().
template <class T, class I>
struct LossGradient {
  Matrix<const T> logits;
  const I* targets;
  Index first_class;
  const T* weights;
  const double* statistics;
  int fields;
  ClassLoss loss;
  Upstream<T> upstream;
  Matrix<T> out;

  __device__ void operator()(Index r, Index c) const {
    using A = Accumulator<T>;
    const auto target = static_cast<Index>(targets[r]);
    if (target == loss.ignored) {
      out.row(r)[c] = T{};
      return;
    }
    const double* const row = statistics + r * fields;
    const double factor = upstream(r);
    const auto scale = static_cast<A>(factor * loss.probability_factor(row, fields) / row[1]);
    const auto smooth = static_cast<A>(factor * loss.smooth_factor());
    A value = scale * exp_negative(static_cast<A>(row[0]) - static_cast<A>(logits.row(r)[c]));
    value -= weights == nullptr || smooth == 0 ? smooth : smooth * static_cast<A>(weights[c]);
    if (c + first_class == target) value -= static_cast<A>(factor * loss.nll_factor() * loss.weight(row, fields));
    out.row(r)[c] = static_cast<T>(value);
  }
};

template <class T>
struct LogSumExpGradient {
  Matrix<const T> logits;
  const double* statistics;
  int fields;
  const T* upstream;
  Matrix<T> out;

  __device__ void operator()(Index r, Index c) const {
    using A = Accumulator<T>;
    const double* const row = statistics + r * fields;
    const auto scale = static_cast<A>(static_cast<double>(upstream[r]) / row[1]);
    out.row(r)[c] = static_cast<T>(scale * exp_negative(static_cast<A>(row[0]) - static_cast<A>(logits.row(r)[c])));
  }
};

template <class T>
struct EntropyGradient {
  Matrix<const T> logits;
  const double* statistics;
  const T* upstream;
  Matrix<T> out;

  __device__ void operator()(Index r, Index c) const {
    using A = Accumulator<T>;
    const double* const row = statistics + r * 4;
    const double log_s = std::log(row[1]);
    const auto scale = static_cast<A>(-static_cast<double>(upstream[r]) / row[1]);
    const A shift = static_cast<A>(logits.row(r)[c]) - static_cast<A>(row[0]);
    const A p = exp_negative(-shift);
    const A term = scale * p * (shift - static_cast<A>(log_s) + static_cast<A>(entropy_of(row, log_s)));
    out.row(r)[c] = static_cast<T>(p == 0 ? A{0} : term);
  }
};

}  // namespace

template <class T>
void class_statistics(Cuda cuda, Matrix<const T> logits, const T* weights, int fields, double* statistics) {
  const auto with = [&](auto kernel, int threads) {
    launch(kernel, resident_grid(kernel, logits.rows, threads), threads, 0, cuda.stream, logits, weights, fields,
           statistics);
  };
  if (logits.columns <= narrow) {
    with(row_statistics<warp, T>, warp);
  } else {
    with(row_statistics<block, T>, block);
  }
}

template <class T, class I>
void pick_targets(Cuda cuda, Matrix<const T> logits, const I* targets, Index first_class, Index ignored,
                  const T* weights, int fields, double* statistics) {
  launch(pick<T, I>, grid_for(logits.rows, block), block, 0, cuda.stream, logits, targets, first_class, ignored,
         weights, fields, statistics);
}

void combine_shards(Cuda cuda, const double* shards, Index parts, Index rows, int fields, double* out) {
  launch(combine, grid_for(rows, block), block, 0, cuda.stream, shards, parts, rows, fields, out);
}

template <class I>
void class_losses(Cuda cuda, const double* statistics, int fields, const I* targets, Index rows, ClassLoss loss,
                  double* losses, double* weights) {
  launch(losses_of<I>, grid_for(rows, block), block, 0, cuda.stream, statistics, fields, targets, rows, loss, losses,
         weights);
}

template <class T>
void quotients(Cuda cuda, const double* a, const double* by, Index n, T* out) {
  launch(divide<T>, grid_for(n, block), block, 0, cuda.stream, a, by, n, out);
}

template <class T, class I>
void class_losses_backward(Cuda cuda, Matrix<const T> logits, const I* targets, Index first_class, const T* weights,
                           const double* statistics, int fields, ClassLoss loss, Upstream<T> upstream, Matrix<T> out) {
  for_each_element(cuda, logits.rows, logits.columns,
                   LossGradient<T, I>{logits, targets, first_class, weights, statistics, fields, loss, upstream, out});
}

template <class T>
void log_sum_exp(Cuda cuda, const double* statistics, int fields, Index rows, T* out) {
  launch(log_sums<T>, grid_for(rows, block), block, 0, cuda.stream, statistics, fields, rows, out);
}

template <class T>
void log_sum_exp_backward(Cuda cuda, Matrix<const T> logits, const double* statistics, int fields, const T* upstream,
                          Matrix<T> out) {
  for_each_element(cuda, logits.rows, logits.columns, LogSumExpGradient<T>{logits, statistics, fields, upstream, out});
}

template <class T>
void entropy(Cuda cuda, const double* statistics, Index rows, T* out) {
  launch(entropies<T>, grid_for(rows, block), block, 0, cuda.stream, statistics, rows, out);
}

template <class T>
void entropy_backward(Cuda cuda, Matrix<const T> logits, const double* statistics, const T* upstream, Matrix<T> out) {
  for_each_element(cuda, logits.rows, logits.columns, EntropyGradient<T>{logits, statistics, upstream, out});
}

#define TARTAN_INSTANTIATE(T)                                                                         \
  template void class_statistics(Cuda, Matrix<const T>, const T*, int, double*);                      \
  template void quotients(Cuda, const double*, const double*, Index, T*);                             \
  template void log_sum_exp(Cuda, const double*, int, Index, T*);                                     \
  template void log_sum_exp_backward(Cuda, Matrix<const T>, const double*, int, const T*, Matrix<T>); \
  template void entropy(Cuda, const double*, Index, T*);                                              \
  template void entropy_backward(Cuda, Matrix<const T>, const double*, const T*, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

#define TARTAN_INSTANTIATE(T, I)                                                                                       \
  template void pick_targets(Cuda, Matrix<const T>, const I*, Index, Index, const T*, int, double*);                   \
  template void class_losses_backward(Cuda, Matrix<const T>, const I*, Index, const T*, const double*, int, ClassLoss, \
                                      Upstream<T>, Matrix<T>);
TARTAN_FOR_EACH_LOOKUP(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

#define TARTAN_INSTANTIATE(I) \
  template void class_losses(Cuda, const double*, int, const I*, Index, ClassLoss, double*, double*);
TARTAN_FOR_EACH_ID_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
