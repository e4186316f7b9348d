#include "kernels/bags.hpp"

#include <algorithm>

#include "base/element_types.hpp"
#include "kernels/accumulator.hpp"
#include "kernels/cuda/access.hpp"
#include "kernels/cuda/launch.hpp"

namespace tartan::kernels {
namespace {

constexpr int threads = 256;

/// Bags of ids on a shard, and who computes what of them: a group of `lanes` lanes a row of the result, or a part of it
/// that all of them have a pack of.
template <class T>
struct Bags {
  Shard<T> shard;
  Ids ids;
  const Index* offsets;
  Index count;
  Index columns;
  int lanes;

  /// Calls begin(b, c) for the columns from c on of each bag b that are the thread's, then hit(i, pack) for its hits in
  /// order, and end(b, c). `in_flight` rows are read before the first is used.
  template <int width, int in_flight, class Begin, class Hit, class End>
  __device__ void visit(Begin begin, Hit hit, End end) const {
    const Index tiles = (columns + width * lanes - 1) / (width * lanes);
    const Index lane = static_cast<Index>(threadIdx.x) % lanes;
    for (Index item = grid_thread() / lanes; item < count * tiles; item += grid_threads() / lanes) {
      const Index b = item / tiles;
      const Index column = ((item - b * tiles) * lanes + lane) * width;
      if (column >= columns) continue;
      begin(b, column);
      const Index last = offsets[b + 1];
      for (Index i = offsets[b]; i < last; i += in_flight) {
        Index rows[in_flight];
#pragma unroll
        for (int k = 0; k < in_flight; ++k) rows[k] = ids[std::min(i + k, last - 1)];
#pragma unroll
        for (int k = 0; k < in_flight; ++k) rows[k] = i + k < last ? shard.offset(rows[k]) : -1;
        Pack<T, width> packs[in_flight];
#pragma unroll
        for (int k = 0; k < in_flight; ++k) {
          packs[k] = load_pack<width>(shard.data + std::max(rows[k], Index{0}) + column);
        }
#pragma unroll
        for (int k = 0; k < in_flight; ++k) {
          if (rows[k] >= 0) hit(i + k, packs[k]);
        }
      }
      end(b, column);
    }
  }
};

template <class T, int width>
__global__ void __launch_bounds__(threads, 2)
    sum(Bags<T> bags, const T* factors, const Index* divisors, Matrix<T> out) {
  using A = Accumulator<T>;
  A total[width];
  bool found = false;
  bags.template visit<width, 8>([&](Index, Index) { found = false; },
                                [&](Index i, const Pack<T, width>& row) {
                                  const A factor = factors != nullptr ? static_cast<A>(factors[i]) : A{1};
#pragma unroll
                                  for (int j = 0; j < width; ++j) {
                                    const auto value = static_cast<A>(row.of[j]);
                                    const A term = factors != nullptr ? factor * value : value;
                                    total[j] = found ? total[j] + term : term;
                                  }
                                  found = true;
                                },
                                [&](Index b, Index column) {
                                  Pack<T, width> result;
                                  const A divisor = divisors != nullptr ? static_cast<A>(divisors[b]) : A{1};
#pragma unroll
                                  for (int j = 0; j < width; ++j) {
                                    result.of[j] = static_cast<T>(found ? total[j] / divisor : static_cast<A>(-0.0));
                                  }
                                  store_pack(out.data + b * out.stride + column, result);
                                });
}

template <class T, int width>
__global__ void __launch_bounds__(threads, 2) max(Bags<T> bags, Matrix<T> out, Index* winners) {
  using A = Accumulator<T>;
  Pack<T, width> largest;
  Index winner[width];
  bags.template visit<width, 4>(
      [&](Index, Index) {
#pragma unroll
        for (int j = 0; j < width; ++j) winner[j] = -1;
      },
      [&](Index i, const Pack<T, width>& row) {
#pragma unroll
        for (int j = 0; j < width; ++j) {
          if (winner[j] < 0 || static_cast<A>(row.of[j]) > static_cast<A>(largest.of[j])) {
            winner[j] = i;
            largest.of[j] = row.of[j];
          }
        }
      },
      [&](Index b, Index column) {
#pragma unroll
        for (int j = 0; j < width; ++j) {
          if (winner[j] < 0) largest.of[j] = static_cast<T>(0.0);
          winners[b * out.columns + column + j] = winner[j];
        }
        store_pack(out.data + b * out.stride + column, largest);
      });
}

template <class T, class I>
Bags<T> bags_of(Matrix<const T> table, Index first_row, const I* ids, const Index* offsets, Index padding,
                Matrix<T> out, int width) {
  const int lanes = lanes_for((out.columns + width - 1) / width);
  return {shard_of<T>(table, first_row, padding, out.data), ids_of(ids), offsets, out.rows, out.columns, lanes};
}

template <class T>
std::size_t access_bytes_of(Matrix<const T> table, Matrix<T> out) {
  constexpr auto size = static_cast<Index>(sizeof(T));
  return access_bytes({table.data, out.data}, {table.stride * size, out.stride * size, out.columns * size});
}

template <class T>
Index blocks_for(const Bags<T>& bags, int width) {
  const Index tiles = (bags.columns + width * bags.lanes - 1) / (width * bags.lanes);
  return (bags.count * tiles * bags.lanes + threads - 1) / threads;
}

}  // namespace

template <class T, class I>
void sum_bags(Cuda cuda, Matrix<const T> table, Index first_row, const I* ids, const Index* offsets,
              std::type_identity_t<const T*> factors, const Index* divisors, Index padding, Matrix<T> out) {
  if (out.rows == 0 || out.columns == 0) return;
  with_pack<T>(access_bytes_of(table, out), [&]<int width>(std::integral_constant<int, width>) {
    const auto bags = bags_of(table, first_row, ids, offsets, padding, out, width);
    launch(sum<T, width>, resident_grid(sum<T, width>, blocks_for(bags, width), threads), threads, 0, cuda.stream, bags,
           factors, divisors, out);
  });
}

template <class T, class I>
void max_bags(Cuda cuda, Matrix<const T> table, Index first_row, const I* ids, const Index* offsets, Index padding,
              Matrix<T> out, Index* winners) {
  if (out.rows == 0 || out.columns == 0) return;
  with_pack<T>(access_bytes_of(table, out), [&]<int width>(std::integral_constant<int, width>) {
    const auto bags = bags_of(table, first_row, ids, offsets, padding, out, width);
    launch(max<T, width>, resident_grid(max<T, width>, blocks_for(bags, width), threads), threads, 0, cuda.stream, bags,
           out, winners);
  });
}

#define TARTAN_INSTANTIATE(T, I)                                                                              \
  template void sum_bags(Cuda, Matrix<const T>, Index, const I*, const Index*, const T*, const Index*, Index, \
                         Matrix<T>);                                                                          \
  template void max_bags(Cuda, Matrix<const T>, Index, const I*, const Index*, Index, Matrix<T>, Index*);
TARTAN_FOR_EACH_LOOKUP(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
