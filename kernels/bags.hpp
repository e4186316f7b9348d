#pragma once

#include <type_traits>

#include "kernels/accumulator.hpp"
#include "kernels/view.hpp"

/// Gathers that reduce: bags of ids on the rows [first_row, first_row + rows) of a table.
///
/// The hits of bag b are those of ids[offsets[b]], ..., ids[offsets[b + 1] - 1] that the shard holds and that are not
/// `padding` (-1: no padding). `offsets` has out.rows + 1 entries. Outputs must not overlap inputs. Nothing is thrown
/// but std::bad_alloc.
namespace tartan::kernels {

/// Row b of `out` is the left fold, from the first and in order, of factors[i] · row ids[i] over the hits i of bag b
/// (of the rows as they are where `factors` is null), divided by divisors[b] (unless `divisors` is null) and rounded to
/// T, or a row of -0.0, the identity of addition, where there are none.
template <class T, class I>
void sum_bags(Cpu, Matrix<const T> table, Index first_row, const I* ids, const Index* offsets,
              std::type_identity_t<const T*> factors, const Index* divisors, Index padding, Matrix<T> out);
template <class T, class I>
void sum_bags(Cuda, Matrix<const T> table, Index first_row, const I* ids, const Index* offsets,
              std::type_identity_t<const T*> factors, const Index* divisors, Index padding, Matrix<T> out);

/// out[b, c] is the largest of column c over the hits of bag b, and winners[b · out.columns + c] the position in `ids`
/// of the first hit that attains it; 0.0 and -1 where there are no hits. As in PyTorch's embedding_bag a later hit wins
/// where it compares greater: a NaN stays if it comes first and loses otherwise.
template <class T, class I>
void max_bags(Cpu, Matrix<const T> table, Index first_row, const I* ids, const Index* offsets, Index padding,
              Matrix<T> out, Index* winners);
template <class T, class I>
void max_bags(Cuda, Matrix<const T> table, Index first_row, const I* ids, const Index* offsets, Index padding,
              Matrix<T> out, Index* winners);

/// out[i] = <the table's row ids[i], row source[i] of `upstream`> for i < count (row i where `source` is null), with
/// the bits of row_dots(); -0.0 where the shard does not hold that row. The gradient of per-sample weights.
template <class T, class I>
void hit_dots(Cpu, Matrix<const T> table, Index first_row, const I* ids, Index count, Matrix<const T> upstream,
              const Index* source, T* out);
template <class T, class I>
void hit_dots(Cuda, Matrix<const T> table, Index first_row, const I* ids, Index count, Matrix<const T> upstream,
              const Index* source, T* out);

}  // namespace tartan::kernels
