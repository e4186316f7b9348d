#pragma once

#include <type_traits>
#include <vector>

#include "kernels/accumulator.hpp"
#include "kernels/cuda_row_plan.hpp"
#include "kernels/view.hpp"

/// Row gather and its adjoint, the ordered row scatter-add, on the rows [first_row, first_row + rows) of a table.
///
/// Ids are global row numbers. Outputs must not overlap inputs. Nothing is thrown but std::bad_alloc.
namespace tartan::kernels {

/// The hits of an id list on a shard, row by row: what the adjoint of a gather needs to know about its ids.
struct RowPlan {
  std::vector<Index> rows;  ///< the U distinct rows that are hit, ascending, counted from the shard's first row
  std::vector<Index>
      offsets;  ///< U + 1 entries: the hits of rows[u] are positions[offsets[u]], ..., [offsets[u + 1] - 1]
  std::vector<Index> positions;  ///< positions in the id list, ascending within a row

  Index distinct() const { return static_cast<Index>(rows.size()); }
  Index hits() const { return static_cast<Index>(positions.size()); }
  const std::vector<Index>& rows_on_host() const { return rows; }
};

/// Row i of `out` is the table's row ids[i] - first_row, or a row of -0.0, the identity of addition, where the shard
/// does not hold that row. `ids` has out.rows entries. For every element type; bits are copied as they are.
template <class T, class I>
void gather_rows(Cpu, Matrix<const T> table, Index first_row, const I* ids, Matrix<T> out);
template <class T, class I>
void gather_rows(Cuda, Matrix<const T> table, Index first_row, const I* ids, Matrix<T> out);

/// The hits of ids[0], ..., ids[count - 1]. Ids outside the shard are none, nor are ids equal to `padding` (-1: no
/// padding).
template <class I>
RowPlan plan_rows(Cpu, const I* ids, Index count, Index first_row, Index rows, Index padding);
template <class I>
CudaRowPlan plan_rows(Cuda, const I* ids, Index count, Index first_row, Index rows, Index padding);

/// The same, made beside what is enqueued on the stream next, on a stream of Tartan's own, unless there are few ids.
template <class I>
CudaRowPlan plan_rows_aside(Cuda, const I* ids, Index count, Index first_row, Index rows, Index padding);

/// The distinct rows that a plan hits, counted from the shard's first, where kernels read them.
inline const Index* distinct_rows(Cpu, const RowPlan& plan) { return plan.rows.data(); }
inline const Index* distinct_rows(Cuda where, const CudaRowPlan& plan) { return plan.rows(where); }

/// What the hits of an id list contribute: hit i gives factors[i] · row source[i] of `rows`; row i where `source` is
/// null, the row as it is where `factors` is null.
template <class T>
struct Contributions {
  // NOLINTNEXTLINE(google-explicit-constructor): rows that are what they contribute
  Contributions(Matrix<const T> all, const Index* source_of = nullptr, const Accumulator<T>* factor_of = nullptr)
      : rows{all}, source{source_of}, factors{factor_of} {}

  Matrix<const T> rows;
  const Index* source;
  const Accumulator<T>* factors;
};

/// Row u of `out` (U rows) is the fold of the contributions at the positions of rows[u], column by column, in the
/// accumulator of T: chunks of 64 hits, counted from the row's own first, are left-folded; the chunks' sums are
/// left-folded in groups of 32, repeatedly, until one remains, which is rounded to T. The bits depend on nothing else.
template <class T>
void fold_rows(Cpu, const RowPlan& plan, std::type_identity_t<Contributions<T>> contributions, Matrix<T> out);
template <class T>
void fold_rows(Cuda, const CudaRowPlan& plan, std::type_identity_t<Contributions<T>> contributions, Matrix<T> out);

/// Adds row u of `values` to the table's row rows[u] for u < count, rounding once. The rows are distinct.
template <class T>
void add_rows(Cpu, const Index* rows, Index count, Matrix<const T> values, Matrix<T> table);
template <class T>
void add_rows(Cuda, const Index* rows, Index count, Matrix<const T> values, Matrix<T> table);

/// add_rows() of what fold_rows() gives before it is rounded, without the sums' way through memory: to the last bit
/// where T is its own accumulator, otherwise with one rounding less.
template <class T>
void accumulate_rows(Cpu, const RowPlan& plan, std::type_identity_t<Contributions<T>> contributions, Matrix<T> table);
template <class T>
void accumulate_rows(Cuda, const CudaRowPlan& plan, std::type_identity_t<Contributions<T>> contributions,
                     Matrix<T> table);

/// Adds the contribution of each hit of ids[0], ..., ids[count - 1] (see plan_rows) to its row of the table, by atomic
/// additions in no order: no plan is needed, and bits differ from run to run.
template <class T, class I>
void accumulate_rows_atomic(Cuda, const I* ids, Index count, Index first_row, Index padding,
                            std::type_identity_t<Contributions<T>> contributions, Matrix<T> table);

/// counts[i] for i < count, the number of ids of the plan, is how often the row of id i is hit; 0 where it is no hit.
template <class T>
void hit_counts(Cpu, const RowPlan& plan, Index count, T* counts);
template <class T>
void hit_counts(Cuda, const CudaRowPlan& plan, Index count, T* counts);

/// out[u] is the sum of |w|^power over row rows[u] of the table, or its largest |w| where power is infinite, in double:
/// leaf_power_sums() combined as fold_leaves() does, and 0 where there are no columns.
template <class T>
void row_power_sums(Cpu, Matrix<const T> table, const Index* rows, Index count, double power, double* out);
template <class T>
void row_power_sums(Cuda, Matrix<const T> table, const Index* rows, Index count, double power, double* out);

/// The pieces of row_power_sums() for rows that may be split, as leaf_dots() has them: out[u · L + k],
/// L = ceil(columns / 32), is that of columns 32k to 32k + 31.
template <class T>
void leaf_power_sums(Cpu, Matrix<const T> table, const Index* rows, Index count, double power, double* out);
template <class T>
void leaf_power_sums(Cuda, Matrix<const T> table, const Index* rows, Index count, double power, double* out);

/// Makes of row_power_sums() of `count` rows, with that power, the factors by which max_norm shrinks them: with the
/// norm n, max_norm / (n + 1e-7) where n > max_norm, otherwise 1.
void norm_factors(Cpu, double* norms, Index count, double power, double max_norm);
void norm_factors(Cuda, double* norms, Index count, double power, double max_norm);

/// Multiplies row rows[u] of the table (row u where `rows` is null) by factors[u], where that is not 1.
template <class T>
void scale_rows(Cpu, const Index* rows, Index count, const double* factors, Matrix<T> table);
template <class T>
void scale_rows(Cuda, const Index* rows, Index count, const double* factors, Matrix<T> table);

}  // namespace tartan::kernels
