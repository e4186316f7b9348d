#include "kernels/updates.hpp"

#include <cmath>
#include <functional>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/lanes.hpp"

namespace tartan::kernels {
namespace {

Index row_of(const Index* rows, Index u) { return rows != nullptr ? rows[u] : u; }

}  // namespace

template <class T>
void sgd_update(Cpu, const Index* rows, Matrix<const T> gradient, T rate, Matrix<T> weight) {
  parallel(gradient.rows, 3 * gradient.columns * sizeof(T), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      const T* g = gradient.row(u);
      T* w = weight.row(row_of(rows, u));
      for (Index c = 0; c < gradient.columns; ++c) w[c] -= rate * g[c];
    }
  });
}

template <class T>
void momentum_update(Cpu, const T* gradient, Index n, MomentumRule<T> rule, T* buffer, T* weight) {
  parallel(n, 5 * sizeof(T), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      T g = rule.decay != 0 ? gradient[i] + rule.decay * weight[i] : gradient[i];
      if (rule.momentum != 0) {
        buffer[i] = rule.momentum * buffer[i] + rule.kept * g;
        g = rule.nesterov ? g + rule.momentum * buffer[i] : buffer[i];
      }
      weight[i] -= rule.rate * g;
    }
  });
}

template <class T>
void adagrad_update(Cpu, const Index* rows, Matrix<const T> gradient, T rate, T epsilon, Matrix<T> sum,
                    Matrix<T> weight) {
  parallel(gradient.rows, 5 * gradient.columns * sizeof(T), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      const T* g = gradient.row(u);
      T* s = sum.row(row_of(rows, u));
      T* w = weight.row(row_of(rows, u));
      for (Index c = 0; c < gradient.columns; ++c) {
        s[c] += g[c] * g[c];
        w[c] -= rate * g[c] / (std::sqrt(s[c]) + epsilon);
      }
    }
  });
}

template <class T>
void adam_update(Cpu, const Index* rows, Matrix<const T> gradient, AdamRule<T> rule, Matrix<T> first, Matrix<T> second,
                 Matrix<T> weight) {
  parallel(gradient.rows, 7 * gradient.columns * sizeof(T), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      const T* g = gradient.row(u);
      T* m = first.row(row_of(rows, u));
      T* v = second.row(row_of(rows, u));
      T* w = weight.row(row_of(rows, u));
      for (Index c = 0; c < gradient.columns; ++c) {
        m[c] = rule.beta1 * m[c] + rule.new1 * g[c];
        v[c] = rule.beta2 * v[c] + rule.new2 * (g[c] * g[c]);
        w[c] -= rule.rate * m[c] / (rule.root_factor * std::sqrt(v[c]) + rule.epsilon);
      }
    }
  });
}

template <class T>
void row_squares(Cpu, Matrix<const T> gradient, double* sums) {
  parallel(gradient.rows, gradient.columns * sizeof(T), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      sums[u] = 0;
      for (Index c = 0; c < gradient.columns; ++c) {
        const auto g = static_cast<double>(gradient.row(u)[c]);
        sums[u] += g * g;
      }
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
void rowwise_rates(Cpu, const Index* rows, const double* squares, Index count, RowwiseRule<T> rule, T* sums, T* rates) {
  for (Index u = 0; u < count; ++u) {
    T& sum = sums[row_of(rows, u)];
    sum += static_cast<T>(squares[u] / rule.columns);
    rates[u] = rule.rate / (std::sqrt(sum) + rule.epsilon);
  }
}

template <class T>
void rowwise_update(Cpu, const Index* rows, Matrix<const T> gradient, const T* rates, Matrix<T> weight) {
  parallel(gradient.rows, 3 * gradient.columns * sizeof(T), [=](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      const T* g = gradient.row(u);
      T* w = weight.row(row_of(rows, u));
      for (Index c = 0; c < gradient.columns; ++c) w[c] -= rates[u] * g[c];
    }
  });
}

#define INSTANTIATE(T)                                                                                         \
  template void sgd_update(Cpu, const Index*, Matrix<const T>, T, Matrix<T>);                                  \
  template void momentum_update(Cpu, const T*, Index, MomentumRule<T>, T*, T*);                                \
  template void adagrad_update(Cpu, const Index*, Matrix<const T>, T, T, Matrix<T>, Matrix<T>);                \
  template void adam_update(Cpu, const Index*, Matrix<const T>, AdamRule<T>, Matrix<T>, Matrix<T>, Matrix<T>); \
  template void row_squares(Cpu, Matrix<const T>, double*);                                                    \
  template void leaf_squares(Cpu, Matrix<const T>, double*);                                                   \
  template void rowwise_rates(Cpu, const Index*, const double*, Index, RowwiseRule<T>, T*, T*);                \
  template void rowwise_update(Cpu, const Index*, Matrix<const T>, const T*, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
