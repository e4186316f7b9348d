#include "kernels/losses.hpp"

#include <cmath>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/multiversion.hpp"
#include "kernels/cpu/sum_tree.hpp"
#include "kernels/elementary.hpp"

namespace tartan::kernels {
namespace {

#define TARTAN_DEFINE(T)                                                                                          \
  TARTAN_MULTIVERSION double compute(const T* x, const T* y, Index count) {                                       \
    return sum_of_chunk(                                                                                          \
        count, [=](Index i) __attribute__((always_inline)) {                                                      \
          return cross_entropy(static_cast<double>(x[i]), static_cast<double>(y[i]));                             \
        });                                                                                                       \
  }                                                                                                               \
  TARTAN_MULTIVERSION void compute(const T* x, const T* y, double scale, Index n, T* out) {                       \
    for (Index i = 0; i < n; ++i)                                                                                 \
      out[i] = static_cast<T>(scale * cross_entropy_slope(static_cast<double>(x[i]), static_cast<double>(y[i]))); \
  }
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_DEFINE)
#undef TARTAN_DEFINE

}  // namespace

template <class T>
void binary_cross_entropy_sum(Cpu, const T* x, const T* y, Index n, double factor, T* out) {
  *out = static_cast<T>(factor * sum_of_chunks(n, 2 * sizeof(T), [=](Index begin, Index count) {
                          return compute(x + begin, y + begin, count);
                        }));
}

template <class T>
void binary_cross_entropy_backward(Cpu, const T* x, const T* y, Accumulator<T> factor, const T* upstream, Index n,
                                   T* out) {
  if (n == 0) return;
  parallel(n, 3 * sizeof(T),
           [=, scale = static_cast<double>(factor * static_cast<Accumulator<T>>(*upstream))](Index begin, Index end) {
             compute(x + begin, y + begin, scale, end - begin, out + begin);
           });
}

#define TARTAN_INSTANTIATE(T)                                                         \
  template void binary_cross_entropy_sum(Cpu, const T*, const T*, Index, double, T*); \
  template void binary_cross_entropy_backward(Cpu, const T*, const T*, Accumulator<T>, const T*, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
