#include "kernels/squared_error.hpp"

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/sum_tree.hpp"

namespace tartan::kernels {

template <class T>
void squared_error_sum(Cpu, const T* x, const T* y, Index n, double factor, T* out) {
  *out = static_cast<T>(factor * sum_of_chunks(n, 2 * sizeof(T), [=](Index begin, Index count) {
                          return sum_of_chunk(count, [=](Index i) {
                            const double d = static_cast<double>(x[begin + i]) - static_cast<double>(y[begin + i]);
                            return d * d;
                          });
                        }));
}

template <class T>
void squared_error_backward(Cpu, const T* x, const T* y, double factor, const T* upstream, Index n, T* out) {
  if (n == 0) return;
  const double scale = 2 * factor * static_cast<double>(*upstream);
  parallel(n, 3 * sizeof(T), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      out[i] = static_cast<T>(scale * (static_cast<double>(x[i]) - static_cast<double>(y[i])));
    }
  });
}

#define INSTANTIATE(T)                                                         \
  template void squared_error_sum(Cpu, const T*, const T*, Index, double, T*); \
  template void squared_error_backward(Cpu, const T*, const T*, double, const T*, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
