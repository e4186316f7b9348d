#include "kernels/class_statistics.hpp"

#include <algorithm>
#include <cmath>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/accumulator.hpp"
#include "kernels/cpu/lanes.hpp"
#include "kernels/cpu/multiversion.hpp"

namespace tartan::kernels {
namespace {

constexpr Index lanes = 32;
constexpr Index piece = 4096;  // columns whose terms are added in the accumulator's type, in lanes

template <class T>
TARTAN_INLINE double greatest_of(const T* x, Index columns) {
  using A = Accumulator<T>;
  constexpr A lowest = -std::numeric_limits<A>::infinity();
  A most[lanes];
  std::fill_n(most, lanes, lowest);
  Index c = 0;
  for (; c + lanes <= columns; c += lanes) {
    for (Index l = 0; l < lanes; ++l) {
      const A value = static_cast<A>(x[c + l]);
      most[l] = value > most[l] ? value : most[l];
    }
  }
  for (Index l = 0; c + l < columns; ++l) most[l] = std::max(most[l], static_cast<A>(x[c + l]));
  return static_cast<double>(halve<lanes>(most, [](A a, A b) { return a < b ? b : a; }));
}

/// The sums over columns of the two numbers that term(c, first, second) gives.
template <class A, class Term>
TARTAN_INLINE void sums_of(Index columns, Term term, double* first, double* second) {
  double totals[2] = {0, 0};
  for (Index begin = 0; begin < columns; begin += piece) {
    const Index end = std::min(columns, begin + piece);
    A a[lanes] = {}, b[lanes] = {};
    Index c = begin;
    for (; c + lanes <= end; c += lanes) {
      for (Index l = 0; l < lanes; ++l) {
        A x, y;
        term(c + l, x, y);
        a[l] += x;
        b[l] += y;
      }
    }
    for (Index l = 0; c + l < end; ++l) {
      A x, y;
      term(c + l, x, y);
      a[l] += x;
      b[l] += y;
    }
    const auto plus = [](A p, A q) { return p + q; };
    totals[0] += static_cast<double>(halve<lanes>(a, plus));
    totals[1] += static_cast<double>(halve<lanes>(b, plus));
  }
  *first = totals[0];
  *second = totals[1];
}

/// Where all logits are -inf, none is further from m than another.
template <class A>
constexpr A reference_of(double greatest) {
  return greatest == no_logit ? A{0} : static_cast<A>(greatest);
}

template <class T>
TARTAN_INLINE void row_statistics(const T* x, const T* w, Index columns, int fields, double* out) {
  using A = Accumulator<T>;
  out[0] = greatest_of(x, columns);
  const A m = reference_of<A>(out[0]);
  for (int field = 1; field < fields; ++field) out[field] = 0;
  double unused = 0;
  const auto exponential = [=](Index c) __attribute__((always_inline)) {
    return exp_negative(m - static_cast<A>(x[c]));
  };
  if (fields == 4) {
    sums_of<A>(
        columns,
        [=](Index c, A & s, A & q) __attribute__((always_inline)) {
          s = exponential(c);
          q = s * std::max(static_cast<A>(x[c]) - m, std::numeric_limits<A>::lowest());
        },
        &out[1], &out[3]);
    return;
  }
  sums_of<A>(
      columns,
      [=](Index c, A & s, A & zero) __attribute__((always_inline)) {
        s = exponential(c);
        zero = 0;
      },
      &out[1], &unused);
  if (fields < 6) return;
  if (w == nullptr) {
    sums_of<A>(
        columns,
        [=](Index c, A & u, A & zero) __attribute__((always_inline)) {
          u = static_cast<A>(x[c]) - m;
          zero = 0;
        },
        &out[4], &unused);
    out[5] = static_cast<double>(columns);
  } else {
    sums_of<A>(
        columns,
        [=](Index c, A & u, A & weight) __attribute__((always_inline)) {
          weight = static_cast<A>(w[c]);
          const A product = weight * (static_cast<A>(x[c]) - m);
          u = weight == 0 ? A{0} : product;
        },
        &out[4], &out[5]);
  }
}

/// The factors of a row of the gradient, scale · e^(x - m) - smooth · w.
template <class A>
struct RowGradient {
  A m, scale, smooth;
};

template <class T>
TARTAN_INLINE void row_gradient(const T* x, const T* w, Index columns, RowGradient<Accumulator<T>> row, T* out) {
  using A = Accumulator<T>;
  const auto [m, scale, smooth] = row;
  if (smooth == 0 || w == nullptr) {
    for (Index c = 0; c < columns; ++c) {
      out[c] = static_cast<T>(scale * exp_negative(m - static_cast<A>(x[c])) - smooth);
    }
  } else {
    for (Index c = 0; c < columns; ++c) {
      out[c] = static_cast<T>(scale * exp_negative(m - static_cast<A>(x[c])) - smooth * static_cast<A>(w[c]));
    }
  }
}

template <class T>
TARTAN_INLINE void row_entropy_gradient(const T* x, Index columns, Accumulator<T> m, Accumulator<T> log_s,
                                        Accumulator<T> scale, Accumulator<T> entropy, T* out) {
  using A = Accumulator<T>;
  for (Index c = 0; c < columns; ++c) {
    const A shift = static_cast<A>(x[c]) - m;
    const A p = exp_negative(-shift);
    const A term = scale * p * (shift - log_s + entropy);
    out[c] = static_cast<T>(p == 0 ? A{0} : term);
  }
}

#define TARTAN_DEFINE(T)                                                                                             \
  TARTAN_MULTIVERSION void compute(const T* x, const T* w, Index columns, int fields, double* out) {                 \
    row_statistics(x, w, columns, fields, out);                                                                      \
  }                                                                                                                  \
  TARTAN_MULTIVERSION void compute(const T* x, const T* w, Index columns, RowGradient<Accumulator<T>> row, T* out) { \
    row_gradient(x, w, columns, row, out);                                                                           \
  }                                                                                                                  \
  TARTAN_MULTIVERSION void compute(const T* x, Index columns, Accumulator<T> m, Accumulator<T> log_s,                \
                                   Accumulator<T> scale, Accumulator<T> entropy, T* out) {                           \
    row_entropy_gradient(x, columns, m, log_s, scale, entropy, out);                                                 \
  }
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_DEFINE)
#undef TARTAN_DEFINE

template <class T>
constexpr Index row_bytes(Matrix<const T> logits) {
  return logits.columns * static_cast<Index>(sizeof(T));
}

}  // namespace

template <class T>
void class_statistics(Cpu, Matrix<const T> logits, const T* weights, int fields, double* statistics) {
  parallel(logits.rows, row_bytes(logits), [=](Index begin, Index end) {
    for (Index r = begin; r < end; ++r)
      compute(logits.row(r), weights, logits.columns, fields, statistics + r * fields);
  });
}

template <class T, class I>
void pick_targets(Cpu, Matrix<const T> logits, const I* targets, Index first_class, Index ignored, const T* weights,
                  int fields, double* statistics) {
  for (Index r = 0; r < logits.rows; ++r) {
    const auto target = static_cast<Index>(targets[r]);
    const Index column = target - first_class;
    if (target == ignored || column < 0 || column >= logits.columns) continue;
    statistics[r * fields + 2] = static_cast<double>(logits.row(r)[column]);
    if (fields == 6) statistics[r * fields + 3] = weights == nullptr ? 1 : static_cast<double>(weights[column]);
  }
}

void combine_shards(Cpu, const double* shards, Index parts, Index rows, int fields, double* out) {
  if (out != shards) std::copy_n(shards, rows * fields, out);
  for (Index p = 1; p < parts; ++p) {
    for (Index r = 0; r < rows; ++r) combine_statistics(shards + (p * rows + r) * fields, out + r * fields, fields);
  }
}

template <class I>
void class_losses(Cpu, const double* statistics, int fields, const I* targets, Index rows, ClassLoss loss,
                  double* losses, double* weights) {
  for (Index r = 0; r < rows; ++r) {
    const bool counts = static_cast<Index>(targets[r]) != loss.ignored;
    losses[r] = counts ? loss.of(statistics + r * fields, fields, std::log(statistics[r * fields + 1])) : 0;
    weights[r] = counts ? loss.weight(statistics + r * fields, fields) : 0;
  }
}

template <class T>
void quotients(Cpu, const double* a, const double* by, Index n, T* out) {
  for (Index i = 0; i < n; ++i) out[i] = static_cast<T>(by == nullptr ? a[i] : a[i] / *by);
}

template <class T, class I>
void class_losses_backward(Cpu, Matrix<const T> logits, const I* targets, Index first_class, const T* weights,
                           const double* statistics, int fields, ClassLoss loss, Upstream<T> upstream, Matrix<T> out) {
  using A = Accumulator<T>;
  parallel(logits.rows, 2 * row_bytes(logits), [=](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const auto target = static_cast<Index>(targets[r]);
      T* const gradient = out.row(r);
      if (target == loss.ignored) {
        std::fill_n(gradient, logits.columns, T{});
        continue;
      }
      const double* const row = statistics + r * fields;
      const double factor = upstream(r);
      const auto smooth = static_cast<A>(factor * loss.smooth_factor());
      const double hit = factor * loss.nll_factor() * loss.weight(row, fields);
      const Index column = target - first_class;
      const bool owned = 0 <= column && column < logits.columns;
      const T logit = owned ? logits.row(r)[column] : T{};
      const auto m = static_cast<A>(row[0]);
      const auto scale = static_cast<A>(factor * loss.probability_factor(row, fields) / row[1]);
      compute(logits.row(r), weights, logits.columns, {m, scale, smooth}, gradient);
      if (!owned) continue;
      const A weight = weights == nullptr ? A{1} : static_cast<A>(weights[column]);
      gradient[column] =
          static_cast<T>(scale * exp_negative(m - static_cast<A>(logit)) - smooth * weight - static_cast<A>(hit));
    }
  });
}

template <class T>
void log_sum_exp(Cpu, const double* statistics, int fields, Index rows, T* out) {
  for (Index r = 0; r < rows; ++r) {
    out[r] = static_cast<T>(statistics[r * fields] + std::log(statistics[r * fields + 1]));
  }
}

template <class T>
void log_sum_exp_backward(Cpu, Matrix<const T> logits, const double* statistics, int fields, const T* upstream,
                          Matrix<T> out) {
  using A = Accumulator<T>;
  parallel(logits.rows, 2 * row_bytes(logits), [=](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const double* const row = statistics + r * fields;
      const auto scale = static_cast<A>(static_cast<double>(upstream[r]) / row[1]);
      const T* const no_weights = nullptr;
      compute(logits.row(r), no_weights, logits.columns, {static_cast<A>(row[0]), scale, A{0}}, out.row(r));
    }
  });
}

template <class T>
void entropy(Cpu, const double* statistics, Index rows, T* out) {
  for (Index r = 0; r < rows; ++r)
    out[r] = static_cast<T>(entropy_of(statistics + r * 4, std::log(statistics[r * 4 + 1])));
}

template <class T>
void entropy_backward(Cpu, Matrix<const T> logits, const double* statistics, const T* upstream, Matrix<T> out) {
  using A = Accumulator<T>;
  parallel(logits.rows, 2 * row_bytes(logits), [=](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const double* const row = statistics + r * 4;
      const double log_s = std::log(row[1]);
      const auto scale = static_cast<A>(-static_cast<double>(upstream[r]) / row[1]);
      compute(logits.row(r), logits.columns, static_cast<A>(row[0]), static_cast<A>(log_s), scale,
              static_cast<A>(entropy_of(row, log_s)), out.row(r));
    }
  });
}

#define TARTAN_INSTANTIATE(T)                                                                        \
  template void class_statistics(Cpu, Matrix<const T>, const T*, int, double*);                      \
  template void quotients(Cpu, const double*, const double*, Index, T*);                             \
  template void log_sum_exp(Cpu, const double*, int, Index, T*);                                     \
  template void log_sum_exp_backward(Cpu, Matrix<const T>, const double*, int, const T*, Matrix<T>); \
  template void entropy(Cpu, const double*, Index, T*);                                              \
  template void entropy_backward(Cpu, Matrix<const T>, const double*, const T*, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

#define TARTAN_INSTANTIATE(T, I)                                                                                      \
  template void pick_targets(Cpu, Matrix<const T>, const I*, Index, Index, const T*, int, double*);                   \
  template void class_losses_backward(Cpu, Matrix<const T>, const I*, Index, const T*, const double*, int, ClassLoss, \
                                      Upstream<T>, Matrix<T>);
TARTAN_FOR_EACH_LOOKUP(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

#define TARTAN_INSTANTIATE(I) \
  template void class_losses(Cpu, const double*, int, const I*, Index, ClassLoss, double*, double*);
TARTAN_FOR_EACH_ID_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
