#include "kernels/updates.hpp"

#include <cmath>
#include <functional>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/lanes.hpp"
#include "kernels/cpu/row_sum.hpp"

namespace tartan::kernels {
namespace {

Index row_of(const Index* rows, Index u) { return rows != nullptr ? rows[u] : u; }

}  // namespace

template <class T>
void sgd_update(Cpu, const Index* rows, Matrix<const T> gradient, Accumulator<T> rate, Matrix<T> weight) {
  using A = Accumulator<T>;
  parallel(gradient.rows, 3 * gradient.columns * sizeof(T), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      const T* g = gradient.row(u);
      T* w = weight.row(row_of(rows, u));
      for (Index c = 0; c < gradient.columns; ++c)
        w[c] = static_cast<T>(static_cast<A>(w[c]) - rate * static_cast<A>(g[c]));
    }
  });
}

template <class T>
void momentum_update(Cpu, const T* gradient, Index n, MomentumRule<T> rule, Accumulator<T>* buffer, T* weight) {
  using A = Accumulator<T>;
  parallel(n, 5 * sizeof(T), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const auto w = static_cast<A>(weight[i]);
      auto g = static_cast<A>(gradient[i]);
      if (rule.decay != 0) g = g + rule.decay * w;
      if (rule.momentum != 0) {
        buffer[i] = rule.momentum * buffer[i] + rule.kept * g;
        g = rule.nesterov ? g + rule.momentum * buffer[i] : buffer[i];
      }
      weight[i] = static_cast<T>(w - rule.rate * g);
    }
  });
}

template <class T>
void adagrad_update(Cpu, const Index* rows, Matrix<const T> gradient, Accumulator<T> rate, Accumulator<T> epsilon,
                    Matrix<Accumulator<T>> sum, Matrix<T> weight) {
  using A = Accumulator<T>;
  parallel(gradient.rows, 5 * gradient.columns * sizeof(T), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      const T* g = gradient.row(u);
      A* s = sum.row(row_of(rows, u));
      T* w = weight.row(row_of(rows, u));
      for (Index c = 0; c < gradient.columns; ++c) {
        const auto d = static_cast<A>(g[c]);
        s[c] += d * d;
        w[c] = static_cast<T>(static_cast<A>(w[c]) - rate * d / (std::sqrt(s[c]) + epsilon));
      }
    }
  });
}

template <class T>
void adam_update(Cpu, const Index* rows, Matrix<const T> gradient, AdamRule<T> rule, Matrix<Accumulator<T>> first,
                 Matrix<Accumulator<T>> second, Matrix<T> weight) {
  using A = Accumulator<T>;
  parallel(gradient.rows, 7 * gradient.columns * sizeof(T), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      const T* g = gradient.row(u);
      A* m = first.row(row_of(rows, u));
      A* v = second.row(row_of(rows, u));
      T* w = weight.row(row_of(rows, u));
      for (Index c = 0; c < gradient.columns; ++c) {
        const auto d = static_cast<A>(g[c]);
        m[c] = rule.beta1 * m[c] + rule.new1 * d;
        v[c] = rule.beta2 * v[c] + rule.new2 * (d * d);
        const A step = rule.rate * m[c] / (rule.root_factor * std::sqrt(v[c]) + rule.epsilon);
        w[c] = static_cast<T>(static_cast<A>(w[c]) - step);
      }
    }
  });
}

template <class T>
void row_squares(Cpu, Matrix<const T> gradient, double* sums) {
  parallel(gradient.rows, gradient.columns * sizeof(T), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      const T* row = gradient.row(u);
      sums[u] = row_sum(
          gradient.columns,
          [row](Index c) {
            const auto g = static_cast<double>(row[c]);
            return g * g;
          },
          std::plus<>{}, 0.0);
    }
  });
}

template <class T>
void leaf_squares(Cpu, Matrix<const T> gradient, double* out) {
  parallel(gradient.rows, gradient.columns * sizeof(T), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      const T* row = gradient.row(u);
      leaves(
          gradient.columns,
          [row](Index c) {
            const auto g = static_cast<double>(row[c]);
            return g * g;
          },
          std::plus<>{}, out + u * leaves_of(gradient.columns));
    }
  });
}

template <class T>
void rowwise_rates(Cpu, const Index* rows, const double* squares, Index count, RowwiseRule<T> rule,
                   Accumulator<T>* sums, Accumulator<T>* rates) {
  using A = Accumulator<T>;
  for (Index u = 0; u < count; ++u) {
    A& sum = sums[row_of(rows, u)];
    sum += static_cast<A>(squares[u] / rule.columns);
    rates[u] = rule.rate / (std::sqrt(sum) + rule.epsilon);
  }
}

template <class T>
void rowwise_update(Cpu, const Index* rows, Matrix<const T> gradient, const Accumulator<T>* rates, Matrix<T> weight) {
  using A = Accumulator<T>;
  parallel(gradient.rows, 3 * gradient.columns * sizeof(T), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      const T* g = gradient.row(u);
      T* w = weight.row(row_of(rows, u));
      for (Index c = 0; c < gradient.columns; ++c)
        w[c] = static_cast<T>(static_cast<A>(w[c]) - rates[u] * static_cast<A>(g[c]));
    }
  });
}

#define INSTANTIATE(T)                                                                                  \
  template void sgd_update(Cpu, const Index*, Matrix<const T>, Accumulator<T>, Matrix<T>);              \
  template void momentum_update(Cpu, const T*, Index, MomentumRule<T>, Accumulator<T>*, T*);            \
  template void adagrad_update(Cpu, const Index*, Matrix<const T>, Accumulator<T>, Accumulator<T>,      \
                               Matrix<Accumulator<T>>, Matrix<T>);                                      \
  template void adam_update(Cpu, const Index*, Matrix<const T>, AdamRule<T>, Matrix<Accumulator<T>>,    \
                            Matrix<Accumulator<T>>, Matrix<T>);                                         \
  template void row_squares(Cpu, Matrix<const T>, double*);                                             \
  template void leaf_squares(Cpu, Matrix<const T>, double*);                                            \
  template void rowwise_rates(Cpu, const Index*, const double*, Index, RowwiseRule<T>, Accumulator<T>*, \
                              Accumulator<T>*);                                                         \
  template void rowwise_update(Cpu, const Index*, Matrix<const T>, const Accumulator<T>*, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
