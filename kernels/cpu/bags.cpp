#include "kernels/bags.hpp"

#include <algorithm>
#include <cstdint>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/lanes.hpp"
#include "kernels/cpu/multiversion.hpp"
#include "kernels/cpu/prefetch.hpp"
#include "kernels/cpu/rounding.hpp"
#include "kernels/cpu/widths.hpp"

namespace tartan::kernels {
namespace {

/// The rows that a shard holds, by their global numbers.
template <class T>
struct Shard {
  Matrix<const T> table;
  Index first_row;
  Index padding;

  bool holds(Index id) const {
    return static_cast<std::uint64_t>(id) - static_cast<std::uint64_t>(first_row) <
               static_cast<std::uint64_t>(table.rows) &&
           id != padding;
  }
  const T* row(Index id) const { return table.row(id - first_row); }
};

/// The hits of bags of ids, in order.
template <class T, class I>
struct Bags {
  Shard<T> shard;
  const I* ids;
  const Index* offsets;

  /// Calls first(i, row) for the first hit i of bag b and next(i, row) for the others, and tells whether there is one.
  template <class First, class Next>
  TARTAN_INLINE bool visit(Index b, Index last, Index columns, First first, Next next) const {
    bool found = false;
    for (Index i = offsets[b]; i < offsets[b + 1]; ++i) {
      const auto coming = static_cast<Index>(ids[std::min(i + ahead, last)]);
      if (shard.holds(coming)) prefetch(shard.row(coming), columns * sizeof(T));
      const auto id = static_cast<Index>(ids[i]);
      if (!shard.holds(id)) continue;
      found ? next(i, shard.row(id)) : first(i, shard.row(id));
      found = true;
    }
    return found;
  }
};

template <class T, class I, bool weighted>
TARTAN_INLINE void sum(const Bags<T, I>& bags, const T* factors, const Index* divisors, Matrix<T> out,
                       Accumulator<T>* scratch) {
  using A = Accumulator<T>;
  with_width(
      out.columns, [&](auto columns) __attribute__((always_inline)) {
        const Index last = bags.offsets[out.rows] - 1;
        for (Index b = 0; b < out.rows; ++b) {
          A* __restrict total = row_to_sum(out.row(b), scratch);
          const bool found = bags.visit(
              b, last, columns,
              [&](Index i, const T* __restrict row) __attribute__((always_inline)) {
                const A factor = weighted ? static_cast<A>(factors[i]) : A{1};
                for (Index c = 0; c < columns; ++c) {
                  total[c] = weighted ? factor * static_cast<A>(row[c]) : static_cast<A>(row[c]);
                }
              },
              [&](Index i, const T* __restrict row) __attribute__((always_inline)) {
                const A factor = weighted ? static_cast<A>(factors[i]) : A{1};
                for (Index c = 0; c < columns; ++c) {
                  total[c] += weighted ? factor * static_cast<A>(row[c]) : static_cast<A>(row[c]);
                }
              });
          if (!found) {
            std::fill_n(total, Index{columns}, static_cast<A>(-0.0));
          } else if (divisors != nullptr) {
            const auto divisor = static_cast<A>(divisors[b]);
            for (Index c = 0; c < columns; ++c) total[c] /= divisor;
          }
          store_sum(out.row(b), total, columns);
        }
      });
}

template <class T, class I>
TARTAN_INLINE void max(const Bags<T, I>& bags, Matrix<T> out, Index* winners) {
  using A = Accumulator<T>;
  const Index columns = out.columns;
  const Index last = bags.offsets[out.rows] - 1;
  for (Index b = 0; b < out.rows; ++b) {
    T* __restrict largest = out.row(b);
    Index* __restrict winner = winners + b * columns;
    const bool found = bags.visit(
        b, last, columns,
        [&](Index i, const T* row) __attribute__((always_inline)) {
          std::copy_n(row, columns, largest);
          std::fill_n(winner, columns, i);
        },
        [&](Index i, const T* __restrict row) __attribute__((always_inline)) {
          for (Index c = 0; c < columns; ++c) {
            const bool greater = static_cast<A>(row[c]) > static_cast<A>(largest[c]);
            winner[c] = greater ? i : winner[c];
            largest[c] = greater ? row[c] : largest[c];
          }
        });
    if (found) continue;
    std::fill_n(largest, columns, T{});
    std::fill_n(winner, columns, Index{-1});
  }
}

template <class T, class I>
TARTAN_INLINE void dots(const Shard<T>& shard, const I* ids, Index count, Matrix<const T> upstream, const Index* source,
                        T* out) {
  with_width(
      upstream.columns, [&](auto columns) __attribute__((always_inline)) {
        for (Index i = 0; i < count; ++i) {
          const auto coming = static_cast<Index>(ids[std::min(i + ahead, count - 1)]);
          if (shard.holds(coming)) prefetch(shard.row(coming), columns * sizeof(T));
          const auto id = static_cast<Index>(ids[i]);
          const T* const other = upstream.row(source != nullptr ? source[i] : i);
          out[i] = static_cast<T>(shard.holds(id) ? dot<T>(shard.row(id), other, columns) : Accumulator<T>(-0.0));
        }
      });
}

#define TARTAN_DEFINE(T, I)                                                                                            \
  TARTAN_MULTIVERSION void compute(const Bags<T, I>& bags, const T* factors, const Index* divisors, Matrix<T> out,     \
                                   Accumulator<T>* scratch) {                                                          \
    factors != nullptr ? sum<T, I, true>(bags, factors, divisors, out, scratch)                                        \
                       : sum<T, I, false>(bags, factors, divisors, out, scratch);                                      \
  }                                                                                                                    \
  TARTAN_MULTIVERSION void compute(const Bags<T, I>& bags, Matrix<T> out, Index* winners) { max(bags, out, winners); } \
  TARTAN_MULTIVERSION void compute(const Shard<T>& shard, const I* ids, Index count, Matrix<const T> upstream,         \
                                   const Index* source, T* out) {                                                      \
    dots(shard, ids, count, upstream, source, out);                                                                    \
  }
TARTAN_FOR_EACH_LOOKUP(TARTAN_DEFINE)
#undef TARTAN_DEFINE

/// What an average bag moves.
template <class T>
Index bytes_of_bag(const Index* offsets, Matrix<T> out) {
  const Index hits = offsets[out.rows] - offsets[0];
  return (1 + hits / std::max<Index>(1, out.rows)) * out.columns * static_cast<Index>(sizeof(T));
}

}  // namespace

template <class T, class I>
void sum_bags(Cpu, Matrix<const T> table, Index first_row, const I* ids, const Index* offsets,
              std::type_identity_t<const T*> factors, const Index* divisors, Index padding, Matrix<T> out) {
  parallel(out.rows, bytes_of_bag(offsets, out), [=](Index begin, Index end) {
    compute(Bags<T, I>{{table, first_row, padding}, ids, offsets + begin}, factors,
            divisors != nullptr ? divisors + begin : nullptr, out.part(begin, end), scratch_row<T>(out.columns).data());
  });
}

template <class T, class I>
void max_bags(Cpu, Matrix<const T> table, Index first_row, const I* ids, const Index* offsets, Index padding,
              Matrix<T> out, Index* winners) {
  parallel(out.rows, 2 * bytes_of_bag(offsets, out), [=](Index begin, Index end) {
    compute(Bags<T, I>{{table, first_row, padding}, ids, offsets + begin}, out.part(begin, end),
            winners + begin * out.columns);
  });
}

template <class T, class I>
void hit_dots(Cpu, Matrix<const T> table, Index first_row, const I* ids, Index count, Matrix<const T> upstream,
              const Index* source, T* out) {
  parallel(count, 2 * table.columns * sizeof(T), [=](Index begin, Index end) {
    const auto part = source != nullptr ? upstream : upstream.part(begin, end);
    compute(Shard<T>{table, first_row, -1}, ids + begin, end - begin, part,
            source != nullptr ? source + begin : nullptr, out + begin);
  });
}

#define TARTAN_INSTANTIATE(T, I)                                                                             \
  template void sum_bags(Cpu, Matrix<const T>, Index, const I*, const Index*, const T*, const Index*, Index, \
                         Matrix<T>);                                                                         \
  template void max_bags(Cpu, Matrix<const T>, Index, const I*, const Index*, Index, Matrix<T>, Index*);     \
  template void hit_dots(Cpu, Matrix<const T>, Index, const I*, Index, Matrix<const T>, const Index*, T*);
TARTAN_FOR_EACH_LOOKUP(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
