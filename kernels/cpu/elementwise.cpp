#include "kernels/elementwise.hpp"

#include <algorithm>

#include "base/element_types.hpp"
#include "base/parallel.hpp"

namespace tartan::kernels {

template <class T>
void fill(Cpu, T* out, Index n, T value) {
  parallel(n, sizeof(T), [=](Index begin, Index end) { std::fill(out + begin, out + end, value); });
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
void scale(Cpu, const T* a, T factor, Index n, T* out) {
  parallel(n, 2 * sizeof(T), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) out[i] = factor * a[i];
  });
}

template <class T>
double sum(Cpu, const T* a, Index n) {
  double result = 0;
  for (Index i = 0; i < n; ++i) result += static_cast<double>(a[i]);
  return result;
}

#define INSTANTIATE(T)                                        \
  template void add(Cpu, const T*, const T*, Index, T*);      \
  template void multiply(Cpu, const T*, const T*, Index, T*); \
  template void scale(Cpu, const T*, T, Index, T*);           \
  template double sum(Cpu, const T*, Index);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

#define INSTANTIATE(T) template void fill(Cpu, T*, Index, T);
TARTAN_FOR_EACH_ELEMENT_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
