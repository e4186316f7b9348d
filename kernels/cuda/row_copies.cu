#include "kernels/row_copies.hpp"

#include "base/element_types.hpp"
#include "kernels/cuda/elements.hpp"

namespace tartan::kernels {
namespace {

template <class T>
struct Put {
  const Index* rows;
  Matrix<const T> values;
  Matrix<T> table;
  __device__ void operator()(Index u, Index c) const {
    table.data[rows[u] * table.stride + c] = values.data[u * values.stride + c];
  }
};

template <class T>
struct Merge {
  const Index* in_a;
  const Index* in_b;
  Matrix<const T> a, b;
  Matrix<T> out;
  __device__ void operator()(Index u, Index c) const {
    using A = Accumulator<T>;
    const Index i = in_a[u], j = in_b[u];
    const T x = i < 0 ? T{} : a.data[i * a.stride + c];
    const T y = j < 0 ? T{} : b.data[j * b.stride + c];
    out.data[u * out.stride + c] = i < 0 ? y : j < 0 ? x : static_cast<T>(static_cast<A>(x) + static_cast<A>(y));
  }
};

template <class T>
struct Contribute {
  Contributions<T> contributions;
  const Index* which;
  const Index* divisors;
  Matrix<Accumulator<T>> out;
  __device__ void operator()(Index i, Index c) const {
    const Index hit = which != nullptr ? which[i] : i;
    const auto& rows = contributions.rows;
    const Index row = contributions.source != nullptr ? contributions.source[hit] : hit;
    auto x = static_cast<Accumulator<T>>(rows.data[row * rows.stride + c]);
    if (contributions.factors != nullptr) x *= contributions.factors[hit];
    if (divisors != nullptr) x /= static_cast<Accumulator<T>>(divisors[i]);
    out.data[i * out.stride + c] = x;
  }
};

}  // namespace

template <class T>
void put_rows(Cuda where, const Index* rows, Index count, Matrix<const T> values, Matrix<T> table) {
  for_each_element(where, count, table.columns, Put<T>{rows, values, table});
}

template <class T>
void merge_rows(Cuda where, const Index* in_a, const Index* in_b, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  for_each_element(where, out.rows, out.columns, Merge<T>{in_a, in_b, a, b, out});
}

template <class T>
void contributed_rows(Cuda where, std::type_identity_t<Contributions<T>> contributions, const Index* which,
                      const Index* divisors, Matrix<Accumulator<T>> out) {
  for_each_element(where, out.rows, out.columns, Contribute<T>{contributions, which, divisors, out});
}

#define INSTANTIATE(T)                                                                                     \
  template void put_rows(Cuda, const Index*, Index, Matrix<const T>, Matrix<T>);                           \
  template void merge_rows(Cuda, const Index*, const Index*, Matrix<const T>, Matrix<const T>, Matrix<T>); \
  template void contributed_rows<T>(Cuda, Contributions<T>, const Index*, const Index*, Matrix<Accumulator<T>>);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
