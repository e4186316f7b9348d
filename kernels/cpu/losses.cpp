#include "kernels/losses.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/elementary.hpp"
#include "kernels/cpu/multiversion.hpp"

namespace tartan::kernels {
namespace {

constexpr Index lanes = 8;
constexpr Index block = 256;

TARTAN_INLINE double cross_entropy(double x, double y) {
  return (x < 0 ? 0 : x) - x * y + log1p_unit(exp_negative(std::abs(x)));
}

template <class T>
TARTAN_INLINE double sum(const T* x, const T* y, Index n) {
  double sums[lanes] = {};
  for (Index begin = 0; begin < n; begin += block) {
    const Index count = std::min(block, n - begin);
    double terms[block] = {};
    for (Index i = 0; i < count; ++i) terms[i] = cross_entropy(x[begin + i], y[begin + i]);
    for (Index i = 0; i < block; i += lanes) {
      for (Index l = 0; l < lanes; ++l) sums[l] += terms[i + l];
    }
  }
  return std::accumulate(sums, sums + lanes, 0.0);
}

template <class T>
TARTAN_INLINE void backward(const T* x, const T* y, double scale, Index n, T* out) {
  for (Index i = 0; i < n; ++i) {
    const double z = exp_negative(std::abs(static_cast<double>(x[i])));
    const double sigmoid = (x[i] < 0 ? z : 1) / (1 + z);
    out[i] = static_cast<T>(scale * (sigmoid - y[i]));
  }
}

#define TARTAN_DEFINE(T)                                                                       \
  TARTAN_MULTIVERSION double compute(const T* x, const T* y, Index n) { return sum(x, y, n); } \
  TARTAN_MULTIVERSION void compute(const T* x, const T* y, double scale, Index n, T* out) {    \
    backward(x, y, scale, n, out);                                                             \
  }
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_DEFINE)
#undef TARTAN_DEFINE

}  // namespace

template <class T>
double binary_cross_entropy_sum(Cpu, const T* x, const T* y, Index n) {
  return compute(x, y, n);
}

template <class T>
void binary_cross_entropy_backward(Cpu, const T* x, const T* y, T scale, Index n, T* out) {
  parallel(n, 3 * sizeof(T), [=](Index begin, Index end) {
    compute(x + begin, y + begin, static_cast<double>(scale), end - begin, out + begin);
  });
}

#define TARTAN_INSTANTIATE(T)                                               \
  template double binary_cross_entropy_sum(Cpu, const T*, const T*, Index); \
  template void binary_cross_entropy_backward(Cpu, const T*, const T*, T, Index, T*);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
