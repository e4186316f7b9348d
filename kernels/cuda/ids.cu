#include "kernels/ids.hpp"

#include <algorithm>

#include "base/element_types.hpp"
#include "kernels/cuda/access.hpp"
#include "kernels/cuda/launch.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;
constexpr int most_bounds = 128;

/// The bounds of the columns [first, first + count) of ids with `columns` columns, as many as the arguments of a kernel
/// have room for.
struct Bounds {
  Index bound[most_bounds];
  Index first;
  Index count;
  Index columns;
  bool allows;  ///< one id everywhere, whatever the bounds
  Index allowed;

  __device__ bool admit(Index id, Index column_bound) const {
    return (id >= 0 && id < column_bound) || (allows && id == allowed);
  }
  __device__ Index at(Index row, Index column) const { return row * columns + first + column; }
};

/// *first_bad becomes the smallest position of a bad id where that is less: as an unsigned number, so that -1 is more
/// than any position.
__global__ void __launch_bounds__(threads) find(Ids ids, Index count, Bounds bounds, unsigned long long* first_bad) {
  constexpr int in_flight = 4;
  const Index rows_further = grid_threads() / bounds.count;
  const Index columns_further = grid_threads() - rows_further * bounds.count;
  Index row = grid_thread() / bounds.count;
  Index column = grid_thread() - row * bounds.count;
  Index bad = -1;
  while (bounds.at(row, column) < count) {
    Index position[in_flight], bound[in_flight], id[in_flight];
#pragma unroll
    for (int k = 0; k < in_flight; ++k) {
      position[k] = bounds.at(row, column);
      bound[k] = bounds.bound[column];
      row += rows_further;
      column += columns_further;
      row += column >= bounds.count ? 1 : 0;
      column -= column >= bounds.count ? bounds.count : 0;
    }
#pragma unroll
    for (int k = 0; k < in_flight; ++k) id[k] = ids[std::min(position[k], count - 1)];
#pragma unroll
    for (int k = 0; k < in_flight; ++k) {
      const bool good = position[k] >= count || bounds.admit(id[k], bound[k]);
      bad = bad < 0 && !good ? position[k] : bad;
    }
  }
  if (bad >= 0) atomicMin(first_bad, static_cast<unsigned long long>(bad));
}

}  // namespace

template <class I>
void find_bad_id(Cuda cuda, const I* ids, Index count, std::span<const Index> bounds, std::optional<Index> allowed,
                 Index* first_bad) {
  check_cuda(cudaMemsetAsync(first_bad, 0xff, sizeof(Index), cuda.stream), "clearing the position of a bad id");
  const Index columns = std::ssize(bounds);
  for (Index first = 0; first < columns; first += most_bounds) {
    Bounds some{
        {}, first, std::min<Index>(most_bounds, columns - first), columns, allowed.has_value(), allowed.value_or(0)};
    std::copy_n(bounds.begin() + first, some.count, some.bound);
    const Index blocks = (count / columns * some.count + 4 * threads) / (4 * threads);
    launch(find, resident_grid(find, blocks, threads), threads, 0, cuda.stream, ids_of(ids), count, some,
           reinterpret_cast<unsigned long long*>(first_bad));
  }
}

#define TARTAN_INSTANTIATE(I) \
  template void find_bad_id(Cuda, const I*, Index, std::span<const Index>, std::optional<Index>, Index*);
TARTAN_FOR_EACH_ID_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
