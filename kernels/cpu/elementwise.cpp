#include "kernels/elementwise.hpp"

#include <algorithm>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/sum_tree.hpp"

namespace tartan::kernels {

template <class T>
void fill(Cpu, T* out, Index n, std::type_identity_t<T> value) {
  parallel(n, sizeof(T), [=](Index begin, Index end) { std::fill(out + begin, out + end, value); });
}

template <class T>
void repeat(Cpu cpu, const T* value, Index n, T* out) {
  if (n > 0) fill(cpu, out, n, *value);
}

template <class T>
void add(Cpu, const T* a, const T* b, Index n, T* out) {
  parallel(n, 3 * sizeof(T), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) out[i] = a[i] + b[i];
  });
}

template <class T>
void multiply(Cpu, const T* a, const T* b, Index n, T* out) {
  parallel(n, 3 * sizeof(T), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) out[i] = a[i] * b[i];
  });
}

template <class T>
void scale(Cpu, const T* a, Accumulator<T> factor, Index n, T* out) {
  parallel(n, 2 * sizeof(T), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) out[i] = static_cast<T>(factor * static_cast<Accumulator<T>>(a[i]));
  });
}

template <class T>
void round_to(Cpu, const Accumulator<T>* a, Index n, T* out) {
  parallel(n, sizeof(Accumulator<T>) + sizeof(T), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) out[i] = static_cast<T>(a[i]);
  });
}

template <class T>
void widen(Cpu, const T* a, Index n, Accumulator<T>* out) {
  parallel(n, sizeof(Accumulator<T>) + sizeof(T), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) out[i] = static_cast<Accumulator<T>>(a[i]);
  });
}

template <class T>
void sum(Cpu, const T* a, Index n, T* out) {
  *out = static_cast<T>(sum_of_chunks(n, sizeof(T), [=](Index begin, Index count) {
    return sum_of_chunk(count, [=](Index i) { return static_cast<double>(a[begin + i]); });
  }));
}

template <class T>
void inner_product(Cpu, const T* a, const T* b, Index n, double* out) {
  *out = sum_of_chunks(n, 2 * sizeof(T), [=](Index begin, Index count) {
    return sum_of_chunk(count,
                        [=](Index i) { return static_cast<double>(a[begin + i]) * static_cast<double>(b[begin + i]); });
  });
}

#define INSTANTIATE(T)                   \
  template void fill(Cpu, T*, Index, T); \
  template void inner_product(Cpu, const T*, const T*, Index, double*);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

#define INSTANTIATE(T)                                           \
  template void round_to(Cpu, const Accumulator<T>*, Index, T*); \
  template void widen(Cpu, const T*, Index, Accumulator<T>*);    \
  template void repeat(Cpu, const T*, Index, T*);                \
  template void add(Cpu, const T*, const T*, Index, T*);         \
  template void multiply(Cpu, const T*, const T*, Index, T*);    \
  template void scale(Cpu, const T*, Accumulator<T>, Index, T*); \
  template void sum(Cpu, const T*, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
