#include "kernels/row_copies.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/element_types.hpp"
#include "kernels/cuda/launch.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;

/// Calls body(r, c) for the elements of `rows` rows of `columns`, which groups of 2^bits lanes of a warp share by rows.
template <class Body>
__global__ void for_elements(Index rows, Index columns, int bits, Body body) {
  const Index lanes = Index{1} << bits;
  for (Index r = grid_thread() >> bits; r < rows; r += grid_threads() >> bits) {
    for (Index c = grid_thread() & (lanes - 1); c < columns; c += lanes) body(r, c);
  }
}

template <class Body>
void for_each_element(Cuda where, Index rows, Index columns, Body body) {
  if (columns == 0) return;
  const int bits = std::bit_width(static_cast<std::uint64_t>(std::min<Index>(columns, 32) - 1));
  launch(for_elements<Body>, grid_for(rows << bits, threads), threads, 0, where.stream, rows, columns, bits, body);
}

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
struct Fill {
  const Index* rows;
  T value;
  Matrix<T> table;
  __device__ void operator()(Index u, Index c) const { table.data[rows[u] * table.stride + c] = value; }
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

template <class T>
struct Erase {
  Matrix<T> out;
  __device__ void operator()(Index i, Index c) const { out.data[i * out.stride + c] = static_cast<T>(-0.0F); }
};

template <class T>
struct Spread {
  const Index* winners;
  Matrix<const T> upstream;
  Matrix<T> out;
  __device__ void operator()(Index b, Index c) const {
    const Index winner = winners[b * upstream.columns + c];
    if (winner >= 0) out.data[winner * out.stride + c] = upstream.data[b * upstream.stride + c];
  }
};

}  // namespace

template <class T>
void put_rows(Cuda where, const Index* rows, Index count, Matrix<const T> values, Matrix<T> table) {
  for_each_element(where, count, table.columns, Put<T>{rows, values, table});
}

template <class T>
void fill_rows(Cuda where, const Index* rows, Index count, std::type_identity_t<T> value, Matrix<T> table) {
  for_each_element(where, count, table.columns, Fill<T>{rows, value, table});
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

template <class T>
void spread_to_winners(Cuda where, const Index* winners, Matrix<const T> upstream, Matrix<T> out) {
  for_each_element(where, out.rows, out.columns, Erase<T>{out});
  for_each_element(where, upstream.rows, upstream.columns, Spread<T>{winners, upstream, out});
}

#define INSTANTIATE(T)                                                                                           \
  template void put_rows(Cuda, const Index*, Index, Matrix<const T>, Matrix<T>);                                 \
  template void fill_rows(Cuda, const Index*, Index, T, Matrix<T>);                                              \
  template void merge_rows(Cuda, const Index*, const Index*, Matrix<const T>, Matrix<const T>, Matrix<T>);       \
  template void contributed_rows<T>(Cuda, Contributions<T>, const Index*, const Index*, Matrix<Accumulator<T>>); \
  template void spread_to_winners(Cuda, const Index*, Matrix<const T>, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
