#include "kernels/pooling.hpp"

#include "base/element_types.hpp"
#include "kernels/cuda/elements.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;

/// Calls body(i) for i < count.
template <class Body>
__global__ void for_indices(Index count, Body body) {
  for (Index i = grid_thread(); i < count; i += grid_threads()) body(i);
}

template <class Body>
void for_each_index(Cuda where, Index count, Body body) {
  launch(for_indices<Body>, grid_for(count, threads), threads, 0, where.stream, count, body);
}

/// The lanes of a warp share the ids of a bag.
__global__ void name_bags_by_warps(const Index* offsets, Index bags, Index* bag) {
  for (Index b = grid_thread() / 32; b < bags; b += grid_threads() / 32) {
    for (Index i = offsets[b] + grid_thread() % 32; i < offsets[b + 1]; i += 32) bag[i] = b;
  }
}

template <class I>
__global__ void size_bags_by_warps(const I* ids, const Index* offsets, Index bags, Index padding, Index* sizes) {
  for (Index b = grid_thread() / 32; b < bags; b += grid_threads() / 32) {
    const Index begin = offsets[b], end = offsets[b + 1];
    Index size = end - begin;
    for (Index i = begin; padding >= 0 && i < end; i += 32) {
      const Index mine = i + grid_thread() % 32;
      const bool is_padding = mine < end && static_cast<Index>(ids[mine]) == padding;
      size -= __popc(__ballot_sync(~0U, is_padding));
    }
    if (grid_thread() % 32 == 0) sizes[b] = size;
  }
}

template <class T>
struct FillEmpty {
  const Index* sizes;
  T value;
  Matrix<T> out;
  __device__ void operator()(Index b, Index c) const {
    if (sizes[b] == 0) out.data[b * out.stride + c] = value;
  }
};

template <class A>
struct Share {
  const Index* sizes;
  const Index* bag;
  A* shares;
  __device__ void operator()(Index i) const { shares[i] = A{1} / static_cast<A>(sizes[bag[i]]); }
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

template <class T, class I, class N>
struct Settle {
  const I* ids;
  const N* names;
  Index first_row, rows, padding;
  T zero;
  T* out;
  __device__ void operator()(Index i) const {
    const Index row = static_cast<Index>(names[i]) - first_row;
    if (static_cast<Index>(ids[i]) == padding) {
      out[i] = zero;
    } else if (row < 0 || row >= rows) {
      out[i] = static_cast<T>(-0.0F);
    }
  }
};

}  // namespace

void name_bags(Cuda where, const Index* offsets, Index bags, Index* bag) {
  launch(name_bags_by_warps, grid_for(bags * 32, threads), threads, 0, where.stream, offsets, bags, bag);
}

template <class I>
void size_bags(Cuda where, const I* ids, const Index* offsets, Index bags, Index padding, Index* sizes) {
  launch(size_bags_by_warps<I>, grid_for(bags * 32, threads), threads, 0, where.stream, ids, offsets, bags, padding,
         sizes);
}

template <class T>
void fill_empty_bags(Cuda where, const Index* sizes, std::type_identity_t<T> value, Matrix<T> out) {
  for_each_element(where, out.rows, out.columns, FillEmpty<T>{sizes, value, out});
}

template <class A>
void share_bags(Cuda where, const Index* sizes, const Index* bag, Index count, A* shares) {
  for_each_index(where, count, Share<A>{sizes, bag, shares});
}

template <class T>
void spread_to_winners(Cuda where, const Index* winners, Matrix<const T> upstream, Matrix<T> out) {
  for_each_element(where, out.rows, out.columns, Erase<T>{out});
  for_each_element(where, upstream.rows, upstream.columns, Spread<T>{winners, upstream, out});
}

template <class T, class I, class N>
void settle_hits(Cuda where, const I* ids, const N* names, Index first_row, Index rows, Index padding,
                 std::type_identity_t<T> zero, Index count, T* out) {
  for_each_index(where, count, Settle<T, I, N>{ids, names, first_row, rows, padding, zero, out});
}

#define INSTANTIATE(I) template void size_bags(Cuda, const I*, const Index*, Index, Index, Index*);
TARTAN_FOR_EACH_ID_TYPE(INSTANTIATE)
#undef INSTANTIATE

template void share_bags(Cuda, const Index*, const Index*, Index, float*);
template void share_bags(Cuda, const Index*, const Index*, Index, double*);

#define INSTANTIATE(T)                                                                                          \
  template void fill_empty_bags(Cuda, const Index*, T, Matrix<T>);                                              \
  template void spread_to_winners(Cuda, const Index*, Matrix<const T>, Matrix<T>);                              \
  template void settle_hits(Cuda, const std::int64_t*, const std::int64_t*, Index, Index, Index, T, Index, T*); \
  template void settle_hits(Cuda, const std::int32_t*, const std::int64_t*, Index, Index, Index, T, Index, T*); \
  template void settle_hits(Cuda, const std::int32_t*, const std::int32_t*, Index, Index, Index, T, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
