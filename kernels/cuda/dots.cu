#include "kernels/dots.hpp"

#include <algorithm>

#include "base/element_types.hpp"
#include "kernels/bags.hpp"
#include "kernels/cuda/access.hpp"
#include "kernels/cuda/device_array.hpp"
#include "kernels/cuda/launch.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;
constexpr int dot_lanes = 16;
constexpr Index leaf_columns = 32;
constexpr Index fold_group = 32;
constexpr int in_flight = 4;  // packs that a thread reads before it uses the first

/// `count` pairs of rows: r of them is the row ids[r] of `a`, or r / k where there are no ids, and the row source[r] of
/// `b`, or r where there is no source.
template <class T>
struct Pairs {
  Shard<T> a;
  Ids ids;
  Index k;
  Matrix<const T> b;
  const Index* source;
  Index count;

  /// Where the row of `a` begins, or -1 if it is not there.
  __device__ Index left(Index r) const { return a.offset(ids.data != nullptr ? ids[r] : r / k); }
  __device__ Index right(Index r) const { return (source != nullptr ? source[r] : r) * b.stride; }
};

/// The halving of `lanes` lanes, of which `width` threads that follow each other have `width` each, in order: lane l is
/// added to lane l + lanes / 2, then to l + lanes / 4, ... The first of the threads gets the sum.
template <int lanes, int width, class A>
__device__ A halve(A (&sums)[width]) {
#pragma unroll
  for (int half = lanes / 2; half >= width; half /= 2) {
#pragma unroll
    for (int j = 0; j < width; ++j) sums[j] += __shfl_xor_sync(whole_warp, sums[j], half / width);
  }
#pragma unroll
  for (int half = width / 2; half > 0; half /= 2) {
#pragma unroll
    for (int j = 0; j < half; ++j) sums[j] += sums[j + half];
  }
  return sums[0];
}

/// A group of 16 / width lanes has a dot product.
template <class T, int width>
__global__ void __launch_bounds__(threads, 2) dots(Pairs<T> pairs, T* out) {
  using A = Accumulator<T>;
  constexpr int members = dot_lanes / width;
  constexpr int groups = warp_size / members;
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const Index column = lane % members * width;
  const Index step = grid_threads() / members;
  for (Index first = grid_thread() / warp_size * groups; first < pairs.count; first += step) {
    const Index mine = first + lane / members;
    const Index r = std::min(mine, pairs.count - 1);  // all lanes of a warp go through halve() together
    const Index left = pairs.left(r);
    const T* const x = pairs.a.data + std::max(left, Index{0});
    const T* const y = pairs.b.data + pairs.right(r);
    A sums[width] = {};
    for (Index c = column; c < pairs.b.columns; c += in_flight * dot_lanes) {
      Pack<T, width> a[in_flight], b[in_flight];
#pragma unroll
      for (int k = 0; k < in_flight; ++k) {
        const Index at = std::min(c + k * dot_lanes, pairs.b.columns - width);
        a[k] = load_pack<width>(x + at);
        b[k] = load_pack<width>(y + at);
      }
#pragma unroll
      for (int k = 0; k < in_flight; ++k) {
        const bool inside = c + k * dot_lanes < pairs.b.columns;
#pragma unroll
        for (int j = 0; j < width; ++j) {
          const A sum = sums[j] + static_cast<A>(a[k].of[j]) * static_cast<A>(b[k].of[j]);
          sums[j] = inside ? sum : sums[j];
        }
      }
    }
    const A sum = halve<dot_lanes>(sums);
    if (column == 0 && mine < pairs.count) out[mine] = static_cast<T>(left >= 0 ? sum : static_cast<A>(-0.0));
  }
}

/// A group of 32 / width lanes has a leaf.
template <class T, int width>
__global__ void __launch_bounds__(threads) leaves(Pairs<T> pairs, Accumulator<T>* out) {
  using A = Accumulator<T>;
  constexpr int members = leaf_columns / width;
  constexpr int groups = warp_size / members;
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const Index leaves_of_row = (pairs.b.columns + leaf_columns - 1) / leaf_columns;
  const Index count = pairs.count * leaves_of_row;
  const Index step = grid_threads() / members;
  for (Index first = grid_thread() / warp_size * groups; first < count; first += step) {
    const Index mine = first + lane / members;
    const Index leaf = std::min(mine, count - 1);
    const Index r = leaf / leaves_of_row;
    const Index column = (leaf - r * leaves_of_row) * leaf_columns + lane % members * width;
    A products[width];
#pragma unroll
    for (int j = 0; j < width; ++j) products[j] = static_cast<A>(-0.0);
    if (column < pairs.b.columns) {
      const auto a = load_pack<width>(pairs.a.data + pairs.left(r) + column);
      const auto b = load_pack<width>(pairs.b.data + pairs.right(r) + column);
#pragma unroll
      for (int j = 0; j < width; ++j) products[j] = static_cast<A>(a.of[j]) * static_cast<A>(b.of[j]);
    }
    const A sum = halve<static_cast<int>(leaf_columns)>(products);
    if (lane % members == 0 && mine < count) out[mine] = sum;
  }
}

/// A thread has a pack of the columns of a row of `a` and of its rows of `b`.
template <class T, int width>
__global__ void __launch_bounds__(threads, 2)
    backward(Matrix<const T> a, Matrix<const T> b, Index k, const T* g, Matrix<T> grad_a, Matrix<T> grad_b) {
  using A = Accumulator<T>;
  const Index packs = a.columns / width;
  for (Index item = grid_thread(); item < a.rows * packs; item += grid_threads()) {
    const Index i = item / packs;
    const Index column = (item - i * packs) * width;
    const auto left = load_pack<width>(a.data + i * a.stride + column);
    A sums[width];
#pragma unroll
    for (int j = 0; j < width; ++j) sums[j] = static_cast<A>(-0.0);
    const Index end = (i + 1) * k;
    for (Index r = i * k; r < end; r += in_flight) {
      Pack<T, width> right[in_flight];
      A factor[in_flight];
#pragma unroll
      for (int h = 0; h < in_flight; ++h) {
        const Index at = std::min(r + h, end - 1);
        right[h] = load_pack<width>(b.data + at * b.stride + column);
        factor[h] = static_cast<A>(load_pack<1>(g + at).of[0]);
      }
#pragma unroll
      for (int h = 0; h < in_flight; ++h) {
        const bool inside = r + h < end;
        Pack<T, width> product;
#pragma unroll
        for (int j = 0; j < width; ++j) {
          const A sum = sums[j] + factor[h] * static_cast<A>(right[h].of[j]);
          sums[j] = inside ? sum : sums[j];
          product.of[j] = static_cast<T>(factor[h] * static_cast<A>(left.of[j]));
        }
        if (inside) store_pack(grad_b.data + (r + h) * grad_b.stride + column, product);
      }
    }
    Pack<T, width> result;
#pragma unroll
    for (int j = 0; j < width; ++j) result.of[j] = static_cast<T>(sums[j]);
    store_pack(grad_a.data + i * grad_a.stride + column, result);
  }
}

/// out[s · groups + i] is the left fold of the terms 32 i, ..., 32 i + 31 among the `terms` of sum s.
template <class A, class Out>
__global__ void __launch_bounds__(threads) fold_groups(const A* in, Index sums, Index terms, Index groups, Out* out) {
  for (Index i = grid_thread(); i < sums * groups; i += grid_threads()) {
    const Index s = i / groups;
    const Index first = (i - s * groups) * fold_group;
    A sum = terms > 0 ? in[s * terms + first] : static_cast<A>(-0.0);
    for (Index t = first + 1; t < std::min(first + fold_group, terms); ++t) sum += in[s * terms + t];
    out[i] = static_cast<Out>(sum);
  }
}

template <class T>
std::size_t access_bytes_of(Matrix<const T> a, Matrix<const T> b) {
  constexpr auto size = static_cast<Index>(sizeof(T));
  return access_bytes({a.data, b.data}, {a.stride * size, b.stride * size, b.columns * size});
}

/// Each row of `a` with its own rows of `b`.
template <class T>
Pairs<T> own_rows(Matrix<const T> a, Matrix<const T> b) {
  const Index k = a.rows > 0 ? b.rows / a.rows : 0;
  return {shard_of<T>(a, 0, -1, b.data), {nullptr, false}, k, b, nullptr, a.rows * k};
}

template <class T>
void enqueue_dots(Cuda cuda, const Pairs<T>& pairs, std::size_t bytes, T* out) {
  with_pack<T>(bytes, [&]<int width>(std::integral_constant<int, width>) {
    constexpr Index of_block = threads / (dot_lanes / width);
    launch(dots<T, width>, resident_grid(dots<T, width>, (pairs.count + of_block - 1) / of_block, threads), threads, 0,
           cuda.stream, pairs, out);
  });
}

}  // namespace

template <class T, class I>
void hit_dots(Cuda cuda, Matrix<const T> table, Index first_row, const I* ids, Index count, Matrix<const T> upstream,
              const Index* source, T* out) {
  const Pairs<T> pairs{shard_of<T>(table, first_row, -1, upstream.data), ids_of(ids), 0, upstream, source, count};
  enqueue_dots(cuda, pairs, access_bytes_of(table, upstream), out);
}

template <class T>
void row_dots(Cuda cuda, Matrix<const T> a, Matrix<const T> b, T* out) {
  enqueue_dots(cuda, own_rows(a, b), access_bytes_of(a, b), out);
}

template <class T>
void row_dots_backward(Cuda cuda, Matrix<const T> a, Matrix<const T> b, const T* g, Matrix<T> grad_a,
                       Matrix<T> grad_b) {
  const auto bytes =
      std::min(access_bytes_of(a, b), access_bytes_of(Matrix<const T>{grad_a.data, 0, 0, grad_a.stride},
                                                      Matrix<const T>{grad_b.data, 0, 0, grad_b.stride}));
  with_pack<T>(bytes, [&]<int width>(std::integral_constant<int, width>) {
    const Index items = a.rows * (a.columns / width);
    launch(backward<T, width>, resident_grid(backward<T, width>, (items + threads - 1) / threads, threads), threads, 0,
           cuda.stream, a, b, own_rows(a, b).k, g, grad_a, grad_b);
  });
}

template <class T>
void leaf_dots(Cuda cuda, Matrix<const T> a, Matrix<const T> b, Accumulator<T>* out) {
  const auto pairs = own_rows(a, b);
  with_pack<T>(access_bytes_of(a, b), [&]<int width>(std::integral_constant<int, width>) {
    const Index count = pairs.count * ((b.columns + leaf_columns - 1) / leaf_columns);
    constexpr Index of_block = threads / (leaf_columns / width);
    launch(leaves<T, width>, resident_grid(leaves<T, width>, (count + of_block - 1) / of_block, threads), threads, 0,
           cuda.stream, pairs, out);
  });
}

template <class T>
void fold_leaves(Cuda cuda, const Accumulator<T>* leaves, Index count, Index leaves_per_sum, T* out) {
  using A = Accumulator<T>;
  const Index groups = std::max<Index>(1, (leaves_per_sum + fold_group - 1) / fold_group);
  const auto grid = grid_for(count * groups, threads);
  if (groups == 1)
    return launch(fold_groups<A, T>, grid, threads, 0, cuda.stream, leaves, count, leaves_per_sum, groups, out);
  const DeviceArray<A> sums(count * groups, cuda.stream);
  launch(fold_groups<A, A>, grid, threads, 0, cuda.stream, leaves, count, leaves_per_sum, groups, sums.data());
  fold_leaves(cuda, sums.data(), count, groups, out);
}

#define TARTAN_INSTANTIATE(T, I) \
  template void hit_dots(Cuda, Matrix<const T>, Index, const I*, Index, Matrix<const T>, const Index*, T*);
TARTAN_FOR_EACH_LOOKUP(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

#define TARTAN_INSTANTIATE(T)                                                       \
  template void row_dots(Cuda, Matrix<const T>, Matrix<const T>, T*);               \
  template void leaf_dots(Cuda, Matrix<const T>, Matrix<const T>, Accumulator<T>*); \
  template void fold_leaves(Cuda, const Accumulator<T>*, Index, Index, T*);         \
  template void row_dots_backward(Cuda, Matrix<const T>, Matrix<const T>, const T*, Matrix<T>, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
