#include <algorithm>

#include "kernels/rows.hpp"

namespace tartan::kernels {

template <class T>
void hit_counts(Cpu, const RowPlan& plan, Index count, T* counts) {
  std::fill_n(counts, count, T{0});
  for (std::size_t u = 0; u < plan.rows.size(); ++u) {
    const Index begin = plan.offsets[u], end = plan.offsets[u + 1];
    for (Index hit = begin; hit < end; ++hit) counts[plan.positions[hit]] = static_cast<T>(end - begin);
  }
}

#define TARTAN_INSTANTIATE(T) template void hit_counts(Cpu, const RowPlan&, Index, T*);
TARTAN_INSTANTIATE(float)
TARTAN_INSTANTIATE(double)
TARTAN_INSTANTIATE(Index)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
