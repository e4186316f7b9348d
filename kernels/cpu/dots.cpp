#include "kernels/dots.hpp"

#include <algorithm>
#include <functional>
#include <vector>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/lanes.hpp"
#include "kernels/cpu/multiversion.hpp"
#include "kernels/cpu/rounding.hpp"
#include "kernels/cpu/widths.hpp"

namespace tartan::kernels {
namespace {

constexpr Index group = 32;

template <class T>
Index rows_to_each(Matrix<const T> a, Matrix<const T> b) {
  return a.rows > 0 ? b.rows / a.rows : 0;
}

template <class T>
Index bytes_of_each(Matrix<const T> a, Matrix<const T> b) {
  return (1 + rows_to_each(a, b)) * a.columns * static_cast<Index>(sizeof(T));
}

template <class T>
TARTAN_INLINE void dots(Matrix<const T> a, Matrix<const T> b, T* out) {
  with_width(
      a.columns, [&](auto columns) __attribute__((always_inline)) {
        for (Index i = 0, r = 0; i < a.rows; ++i) {
          for (const Index end = b.rows / a.rows * (i + 1); r < end; ++r)
            out[r] = static_cast<T>(dot<T>(a.row(i), b.row(r), columns));
        }
      });
}

template <class T>
TARTAN_INLINE void backward(Matrix<const T> a, Matrix<const T> b, const T* g, Matrix<T> grad_a, Matrix<T> grad_b,
                            Accumulator<T>* scratch) {
  using A = Accumulator<T>;
  with_width(
      a.columns, [&](auto columns) __attribute__((always_inline)) {
        for (Index i = 0, r = 0; i < a.rows; ++i) {
          A* __restrict sum = row_to_sum(grad_a.row(i), scratch);
          const T* __restrict left = a.row(i);
          std::fill_n(sum, Index{columns}, static_cast<A>(-0.0));
          for (const Index end = b.rows / a.rows * (i + 1); r < end; ++r) {
            const T* __restrict right = b.row(r);
            T* __restrict product = grad_b.row(r);
            const A factor = static_cast<A>(g[r]);
            for (Index c = 0; c < columns; ++c) {
              sum[c] += factor * static_cast<A>(right[c]);
              product[c] = static_cast<T>(factor * static_cast<A>(left[c]));
            }
          }
          store_sum(grad_a.row(i), sum, columns);
        }
      });
}

template <class T>
TARTAN_INLINE void dot_leaves(Matrix<const T> a, Matrix<const T> b, Accumulator<T>* out) {
  using A = Accumulator<T>;
  const Index columns = a.columns;
  for (Index i = 0, r = 0; i < a.rows; ++i) {
    const T* x = a.row(i);
    for (const Index end = b.rows / a.rows * (i + 1); r < end; ++r) {
      const T* y = b.row(r);
      leaves(
          columns, [=](Index c) __attribute__((always_inline)) { return static_cast<A>(x[c]) * static_cast<A>(y[c]); },
          std::plus<A>{}, out + r * leaves_of(columns));
    }
  }
}

#define TARTAN_DEFINE(T)                                                                               \
  TARTAN_MULTIVERSION void compute(Matrix<const T> a, Matrix<const T> b, T* out) { dots(a, b, out); }  \
  TARTAN_MULTIVERSION void compute_leaves(Matrix<const T> a, Matrix<const T> b, Accumulator<T>* out) { \
    dot_leaves(a, b, out);                                                                             \
  }                                                                                                    \
  TARTAN_MULTIVERSION void compute(Matrix<const T> a, Matrix<const T> b, const T* g, Matrix<T> grad_a, \
                                   Matrix<T> grad_b, Accumulator<T>* scratch) {                        \
    backward(a, b, g, grad_a, grad_b, scratch);                                                        \
  }
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_DEFINE)
#undef TARTAN_DEFINE

/// Left folds of groups of 32 of the `count` > 0 terms, in place, until one remains.
template <class T>
T fold_groups(T* terms, Index count) {
  while (count > 1) {
    Index groups = 0;
    for (Index begin = 0; begin < count; begin += group) {
      T sum = terms[begin];
      for (Index i = begin + 1; i < std::min(begin + group, count); ++i) sum += terms[i];
      terms[groups++] = sum;
    }
    count = groups;
  }
  return terms[0];
}

}  // namespace

template <class T>
void row_dots(Cpu, Matrix<const T> a, Matrix<const T> b, T* out) {
  const Index k = rows_to_each(a, b);
  parallel(a.rows, bytes_of_each(a, b),
           [=](Index begin, Index end) { compute(a.part(begin, end), b.part(k * begin, k * end), out + k * begin); });
}

template <class T>
void row_dots_backward(Cpu, Matrix<const T> a, Matrix<const T> b, const T* g, Matrix<T> grad_a, Matrix<T> grad_b) {
  const Index k = rows_to_each(a, b);
  parallel(a.rows, 2 * bytes_of_each(a, b), [=](Index begin, Index end) {
    compute(a.part(begin, end), b.part(k * begin, k * end), g + k * begin, grad_a.part(begin, end),
            grad_b.part(k * begin, k * end), scratch_row<T>(a.columns).data());
  });
}

template <class T>
void leaf_dots(Cpu, Matrix<const T> a, Matrix<const T> b, Accumulator<T>* out) {
  const Index k = rows_to_each(a, b);
  parallel(a.rows, bytes_of_each(a, b), [=](Index begin, Index end) {
    compute_leaves(a.part(begin, end), b.part(k * begin, k * end), out + k * begin * leaves_of(a.columns));
  });
}

template <class T>
void fold_leaves(Cpu, const Accumulator<T>* leaves, Index count, Index leaves_per_sum, T* out) {
  std::vector<Accumulator<T>> terms(leaves_per_sum);
  for (Index i = 0; i < count; ++i, leaves += leaves_per_sum) {
    terms.assign(leaves, leaves + leaves_per_sum);
    out[i] = static_cast<T>(leaves_per_sum > 0 ? fold_groups(terms.data(), leaves_per_sum) : Accumulator<T>{-0.0F});
  }
}

#define TARTAN_INSTANTIATE(T)                                                      \
  template void row_dots(Cpu, Matrix<const T>, Matrix<const T>, T*);               \
  template void leaf_dots(Cpu, Matrix<const T>, Matrix<const T>, Accumulator<T>*); \
  template void fold_leaves(Cpu, const Accumulator<T>*, Index, Index, T*);         \
  template void row_dots_backward(Cpu, Matrix<const T>, Matrix<const T>, const T*, Matrix<T>, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
