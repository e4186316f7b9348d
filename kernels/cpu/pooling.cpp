#include "kernels/pooling.hpp"

#include <algorithm>

#include "base/element_types.hpp"
#include "base/parallel.hpp"

namespace tartan::kernels {

void name_bags(Cpu, const Index* offsets, Index bags, Index* bag) {
  for (Index b = 0; b < bags; ++b) std::fill(bag + offsets[b], bag + offsets[b + 1], b);
}

template <class I>
void size_bags(Cpu, const I* ids, const Index* offsets, Index bags, Index padding, Index* sizes) {
  for (Index b = 0; b < bags; ++b) {
    sizes[b] = offsets[b + 1] - offsets[b];
    if (padding >= 0) sizes[b] -= std::count(ids + offsets[b], ids + offsets[b + 1], static_cast<I>(padding));
  }
}

template <class T>
void fill_empty_bags(Cpu, const Index* sizes, std::type_identity_t<T> value, Matrix<T> out) {
  for (Index b = 0; b < out.rows; ++b) {
    if (sizes[b] == 0) std::fill_n(out.row(b), out.columns, value);
  }
}

template <class A>
void share_bags(Cpu, const Index* sizes, const Index* bag, Index count, A* shares) {
  for (Index i = 0; i < count; ++i) shares[i] = A{1} / static_cast<A>(sizes[bag[i]]);
}

template <class T>
void spread_to_winners(Cpu, const Index* winners, Matrix<const T> upstream, Matrix<T> out) {
  parallel(out.rows, out.columns * static_cast<Index>(sizeof(T)), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) std::fill_n(out.row(i), out.columns, static_cast<T>(-0.0F));
  });
  for (Index b = 0; b < upstream.rows; ++b) {
    for (Index c = 0; c < upstream.columns; ++c) {
      const Index winner = winners[b * upstream.columns + c];
      if (winner >= 0) out.row(winner)[c] = upstream.row(b)[c];
    }
  }
}

template <class T, class I, class N>
void settle_hits(Cpu, const I* ids, const N* names, Index first_row, Index rows, Index padding,
                 std::type_identity_t<T> zero, Index count, T* out) {
  for (Index i = 0; i < count; ++i) {
    const Index row = static_cast<Index>(names[i]) - first_row;
    if (static_cast<Index>(ids[i]) == padding) {
      out[i] = zero;
    } else if (row < 0 || row >= rows) {
      out[i] = static_cast<T>(-0.0F);
    }
  }
}

#define INSTANTIATE(I) template void size_bags(Cpu, const I*, const Index*, Index, Index, Index*);
TARTAN_FOR_EACH_ID_TYPE(INSTANTIATE)
#undef INSTANTIATE

template void share_bags(Cpu, const Index*, const Index*, Index, float*);
template void share_bags(Cpu, const Index*, const Index*, Index, double*);

#define INSTANTIATE(T)                                                                                         \
  template void fill_empty_bags(Cpu, const Index*, T, Matrix<T>);                                              \
  template void spread_to_winners(Cpu, const Index*, Matrix<const T>, Matrix<T>);                              \
  template void settle_hits(Cpu, const std::int64_t*, const std::int64_t*, Index, Index, Index, T, Index, T*); \
  template void settle_hits(Cpu, const std::int32_t*, const std::int64_t*, Index, Index, Index, T, Index, T*); \
  template void settle_hits(Cpu, const std::int32_t*, const std::int32_t*, Index, Index, Index, T, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
