#include "base/element_types.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/updates.hpp"

namespace tartan::kernels {
namespace {

template <class T>
__global__ void set_rates(const Index* rows, const double* squares, Index count, RowwiseRule<T> rule,
                          Accumulator<T>* sums, Accumulator<T>* rates) {
  using A = Accumulator<T>;
  for (Index u = grid_thread(); u < count; u += grid_threads()) {
    const Index row = rows != nullptr ? rows[u] : u;
    const A sum = sums[row] + static_cast<A>(squares[u] / rule.columns);
    sums[row] = sum;
    rates[u] = rule.rate / (sqrt(sum) + rule.epsilon);
  }
}

}  // namespace

template <class T>
void rowwise_rates(Cuda cuda, const Index* rows, const double* squares, Index count, RowwiseRule<T> rule,
                   Accumulator<T>* sums, Accumulator<T>* rates) {
  constexpr int threads = 256;
  launch(set_rates<T>, grid_for(count, threads), threads, 0, cuda.stream, rows, squares, count, rule, sums, rates);
}

#define INSTANTIATE(T)                                                                                   \
  template void rowwise_rates(Cuda, const Index*, const double*, Index, RowwiseRule<T>, Accumulator<T>*, \
                              Accumulator<T>*);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::kernels
