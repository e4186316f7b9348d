#include "kernels/rows.hpp"

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "base/element_types.hpp"
#include "base/parallel.hpp"
#include "kernels/cpu/gather.hpp"
#include "kernels/cpu/multiversion.hpp"
#include "kernels/cpu/prefetch.hpp"
#include "kernels/cpu/widths.hpp"

namespace tartan::kernels {
namespace {

constexpr Index chunk = 64;
constexpr Index group = 32;

#define TARTAN_DEFINE(I)                                                                           \
  TARTAN_MULTIVERSION void copy_rows(const Source& source, const I* ids, const Destination& out) { \
    gather(                                                                                        \
        source, ids, 1, out, [&](Index i, std::size_t bytes) __attribute__((always_inline)) {      \
          prefetch(source.row(ids[std::min(i + ahead, out.count - 1)]), bytes);                    \
        });                                                                                        \
  }
TARTAN_FOR_EACH_ID_TYPE(TARTAN_DEFINE)
#undef TARTAN_DEFINE

/// sum + term, rounded once.
template <class Sum, class Term>
TARTAN_INLINE void add(Sum* __restrict sum, const Term* __restrict term, Index columns) {
  using A = Accumulator<Sum>;
  for (Index c = 0; c < columns; ++c) sum[c] = static_cast<Sum>(static_cast<A>(sum[c]) + static_cast<A>(term[c]));
}

template <class To, class From>
TARTAN_INLINE void convert(To* __restrict to, const From* __restrict from, Index columns) {
  for (Index c = 0; c < columns; ++c) to[c] = static_cast<To>(from[c]);
}

template <class T>
TARTAN_INLINE const T* row_of_hit(const Contributions<T>& contributions, Index i) {
  return contributions.rows.row(contributions.source != nullptr ? contributions.source[i] : i);
}

/// The left fold of a segment of hits, of one chunk at most.
template <class T>
TARTAN_INLINE void fold_segment(const std::vector<Index>& positions, Index begin, Index end,
                                const Contributions<T>& contributions, Index columns, Accumulator<T>* __restrict sum) {
  using A = Accumulator<T>;
  const Index last = std::ssize(positions) - 1;
  for (Index hit = begin; hit < end; ++hit) {
    prefetch(row_of_hit(contributions, positions[std::min(hit + ahead, last)]), columns * sizeof(T));
    const T* __restrict term = row_of_hit(contributions, positions[hit]);
    if (contributions.factors != nullptr) {
      const A factor = contributions.factors[positions[hit]];
      if (hit == begin) {
        for (Index c = 0; c < columns; ++c) sum[c] = factor * static_cast<A>(term[c]);
      } else {
        for (Index c = 0; c < columns; ++c) sum[c] += factor * static_cast<A>(term[c]);
      }
    } else if (hit == begin) {
      convert(sum, term, columns);
    } else {
      add(sum, term, columns);
    }
  }
}

/// Folds each row of at most one chunk of hits into its row of `out`.
template <class T>
TARTAN_INLINE void fold(const std::vector<Index>& positions, const Index* offsets,
                        const Contributions<T>& contributions, Matrix<Accumulator<T>> out) {
  with_width(
      out.columns, [&](auto columns) __attribute__((always_inline)) {
        for (Index u = 0; u < out.rows; ++u) {
          if (offsets[u + 1] - offsets[u] > chunk) continue;
          fold_segment<T>(positions, offsets[u], offsets[u + 1], contributions, columns, out.row(u));
        }
      });
}

/// Adds the fold of each of the plan's rows `first` to `last` - 1 of at most one chunk of hits to its row of the table;
/// `sum` is a row.
template <class T>
TARTAN_INLINE void fold_and_add(const RowPlan& plan, Index first, Index last, const Contributions<T>& contributions,
                                Matrix<T> table, Accumulator<T>* sum) {
  with_width(
      table.columns, [&](auto columns) __attribute__((always_inline)) {
        const Index hits = std::ssize(plan.positions) - 1;
        for (Index u = first; u < last; ++u) {
          prefetch(table.row(plan.rows[std::min(u + ahead, last - 1)]), columns * sizeof(T));
          const Index begin = plan.offsets[u], end = plan.offsets[u + 1];
          T* row = table.row(plan.rows[u]);
          if (end - begin == 1 && contributions.factors == nullptr) {
            prefetch(row_of_hit(contributions, plan.positions[std::min(begin + ahead, hits)]), columns * sizeof(T));
            add(row, row_of_hit(contributions, plan.positions[begin]), columns);
          } else if (end - begin <= chunk) {
            fold_segment<T>(plan.positions, begin, end, contributions, columns, sum);
            add(row, sum, columns);
          }
        }
      });
}

template <class T>
TARTAN_INLINE void add_scattered(const Index* rows, Index count, Matrix<const T> values, Matrix<T> table) {
  with_width(
      table.columns, [&](auto columns) __attribute__((always_inline)) {
        for (Index u = 0; u < count; ++u) {
          prefetch(table.row(rows[std::min(u + ahead, count - 1)]), columns * sizeof(T));
          add(table.row(rows[u]), values.row(u), columns);
        }
      });
}

#define TARTAN_DEFINE(T)                                                                                             \
  TARTAN_MULTIVERSION void fold_chunks(const std::vector<Index>& positions, const Index* offsets,                    \
                                       const Contributions<T>& contributions, Matrix<Accumulator<T>> out) {          \
    fold(positions, offsets, contributions, out);                                                                    \
  }                                                                                                                  \
  TARTAN_MULTIVERSION void add_to_rows(const Index* rows, Index count, Matrix<const T> values, Matrix<T> table) {    \
    add_scattered(rows, count, values, table);                                                                       \
  }                                                                                                                  \
  TARTAN_MULTIVERSION void add_chunks(const RowPlan& plan, Index first, Index last,                                  \
                                      const Contributions<T>& contributions, Matrix<T> table, Accumulator<T>* sum) { \
    fold_and_add(plan, first, last, contributions, table, sum);                                                      \
  }                                                                                                                  \
  TARTAN_MULTIVERSION void add_row(T* sum, const Accumulator<T>* term, Index columns) { add(sum, term, columns); }   \
  TARTAN_MULTIVERSION void store_row(T* to, const Accumulator<T>* from, Index columns) { convert(to, from, columns); }
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_DEFINE)
#undef TARTAN_DEFINE

/// The fold of the hits `begin` to `end` - 1 of one row: a left fold of the folds of blocks of 64·32^l hits, for the
/// largest such block that is smaller than the whole. `scratch` holds a row for every level below.
template <class T>
void fold_hits(const std::vector<Index>& positions, Index begin, Index end, const Contributions<T>& contributions,
               Matrix<Accumulator<T>> sum, Accumulator<T>* scratch) {
  if (end - begin <= chunk) {
    const Index offsets[] = {begin, end};
    return fold_chunks(positions, offsets, contributions, sum);
  }
  Index block = chunk;
  while (block < (end - begin + group - 1) / group) block *= group;
  fold_hits(positions, begin, begin + block, contributions, sum, scratch);
  const Matrix<Accumulator<T>> term{scratch, 1, sum.columns, sum.columns};
  for (begin += block; begin < end; begin += block) {
    fold_hits(positions, begin, std::min(begin + block, end), contributions, term, scratch + sum.columns);
    add_row(sum.data, scratch, sum.columns);
  }
}

/// Folds the plan's rows `first` to `last` - 1 of at most one chunk of hits into their rows of `out`, and what has no
/// meaning into the others.
template <class T>
void fold_short_rows(const RowPlan& plan, Index first, Index last, const Contributions<T>& contributions,
                     Matrix<T> out) {
  using A = Accumulator<T>;
  const Index* const offsets = plan.offsets.data();
  if constexpr (std::is_same_v<T, A>) {
    fold_chunks(plan.positions, offsets + first, contributions, out.part(first, last));
  } else {
    constexpr Index some = 16;
    std::vector<A> sums(some * out.columns);
    for (Index begin = first; begin < last; begin += some) {
      const Index end = std::min(begin + some, last);
      const Matrix<A> part{sums.data(), end - begin, out.columns, out.columns};
      fold_chunks(plan.positions, offsets + begin, contributions, part);
      for (Index u = begin; u < end; ++u) store_row(out.row(u), part.row(u - begin), out.columns);
    }
  }
}

/// Calls body(u, sum) with the fold of each of the plan's rows `first` to `last` - 1 of more hits than a chunk.
template <class T, class Body>
void for_long_rows(const RowPlan& plan, Index first, Index last, const Contributions<T>& contributions, Index columns,
                   Body body) {
  constexpr Index levels = 12;  // 64·32^12 exceeds every Index
  std::vector<Accumulator<T>> rows;
  for (Index u = first; u < last; ++u) {
    if (plan.offsets[u + 1] - plan.offsets[u] <= chunk) continue;
    rows.resize((1 + levels) * columns);
    fold_hits(plan.positions, plan.offsets[u], plan.offsets[u + 1], contributions,
              Matrix<Accumulator<T>>{rows.data(), 1, columns, columns}, rows.data() + columns);
    body(u, rows.data());
  }
}

/// Calls body(first, last, contributions, out) for parts of the plan's rows `first` to `last` - 1, or of the columns
/// where each thread gets a cache line of them: no row is hit too often for its thread then.
template <class T, class Body>
void for_parts(const RowPlan& plan, Index moved, const Contributions<T>& contributions, Matrix<T> out, Body body) {
  constexpr Index least = 64 / sizeof(T);
  const Index rows = std::ssize(plan.rows), hits = std::ssize(plan.positions);
  const Index bytes = moved * static_cast<Index>(sizeof(T));
  if (out.columns >= least * threads()) {
    parallel((out.columns + least - 1) / least, least * hits * bytes,
             [&](Index begin, Index end) {
               const Index first = begin * least, columns = std::min(end * least, out.columns) - first;
               auto some = contributions;
               some.rows = {some.rows.data + first, some.rows.rows, columns, some.rows.stride};
               body(Index{0}, rows, some, Matrix<T>{out.data + first, out.rows, columns, out.stride});
             },
             1);
  } else {
    const auto row_from = [&](Index hit) {
      return std::lower_bound(plan.offsets.begin(), plan.offsets.end(), hit) - plan.offsets.begin();
    };
    parallel(hits, out.columns * bytes,
             [&](Index begin, Index end) { body(row_from(begin), row_from(end), contributions, out); });
  }
}

}  // namespace

template <class T, class I>
void gather_rows(Cpu, Matrix<const T> table, Index first_row, const I* ids, Matrix<T> out) {
  const std::vector<T> absent(out.columns, static_cast<T>(-0.0));
  const Source source(table, first_row, absent.data());
  const std::size_t bytes = out.columns * sizeof(T), stride = out.stride * sizeof(T);
  const bool streamed = worth_streaming(out.data, bytes, stride, out.rows);
  parallel(out.rows, 2 * out.columns * sizeof(T), [&](Index begin, Index end) {
    auto* const first = reinterpret_cast<std::byte*>(out.row(begin));
    copy_rows(source, ids + begin, {first, end - begin, bytes, stride, streamed});
  });
}

template <class T>
void fold_rows(Cpu, const RowPlan& plan, std::type_identity_t<Contributions<T>> contributions, Matrix<T> out) {
  if (out.columns == 0) return;  // and perhaps no memory
  for_parts(plan, 2, contributions, out, [&](Index first, Index last, const Contributions<T>& some, Matrix<T> to) {
    fold_short_rows(plan, first, last, some, to);
    for_long_rows(plan, first, last, some, to.columns,
                  [&](Index u, const auto* sum) { store_row(to.row(u), sum, to.columns); });
  });
}

template <class T>
void add_rows(Cpu, const Index* rows, Index count, Matrix<const T> values, Matrix<T> table) {
  parallel(count, 3 * table.columns * sizeof(T),
           [=](Index begin, Index end) { add_to_rows(rows + begin, end - begin, values.part(begin, end), table); });
}

template <class T>
void accumulate_rows(Cpu, const RowPlan& plan, std::type_identity_t<Contributions<T>> contributions, Matrix<T> table) {
  if (table.columns == 0) return;  // and perhaps no memory
  for_parts(plan, 3, contributions, table, [&](Index first, Index last, const Contributions<T>& some, Matrix<T> to) {
    std::vector<Accumulator<T>> row(to.columns);
    add_chunks(plan, first, last, some, to, row.data());
    for_long_rows(plan, first, last, some, to.columns,
                  [&](Index u, const auto* sum) { add_row(to.row(plan.rows[u]), sum, to.columns); });
  });
}

#define TARTAN_INSTANTIATE(T, I) template void gather_rows(Cpu, Matrix<const T>, Index, const I*, Matrix<T>);
TARTAN_FOR_EACH_LOOKUP(TARTAN_INSTANTIATE)
TARTAN_WITH_IDS(TARTAN_INSTANTIATE, std::int32_t)
TARTAN_WITH_IDS(TARTAN_INSTANTIATE, std::int64_t)
#undef TARTAN_INSTANTIATE

#define TARTAN_INSTANTIATE(T)                                                   \
  template void fold_rows(Cpu, const RowPlan&, Contributions<T>, Matrix<T>);    \
  template void add_rows(Cpu, const Index*, Index, Matrix<const T>, Matrix<T>); \
  template void accumulate_rows(Cpu, const RowPlan&, Contributions<T>, Matrix<T>);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
