#pragma once

#include <type_traits>

#include "kernels/accumulator.hpp"
#include "kernels/rows.hpp"
#include "kernels/view.hpp"

/// Rows that are put where they belong, and single steps of sums of rows. Outputs must not overlap inputs. Both devices
/// give the same bits.
namespace tartan::kernels {

/// Row rows[u] of the table becomes row u of `values` for u < count. The rows are distinct.
template <class T>
void put_rows(Cpu, const Index* rows, Index count, Matrix<const T> values, Matrix<T> table);
template <class T>
void put_rows(Cuda, const Index* rows, Index count, Matrix<const T> values, Matrix<T> table);

/// Row u of `out` is row in_a[u] of `a` plus row in_b[u] of `b`; only one of them where the other number is -1.
template <class T>
void merge_rows(Cpu, const Index* in_a, const Index* in_b, Matrix<const T> a, Matrix<const T> b, Matrix<T> out);
template <class T>
void merge_rows(Cuda, const Index* in_a, const Index* in_b, Matrix<const T> a, Matrix<const T> b, Matrix<T> out);

/// Row i of `out` is what hit which[i] contributes (hit i where `which` is null), divided by divisors[i] unless
/// `divisors` is null, in the accumulator of T.
template <class T>
void contributed_rows(Cpu, std::type_identity_t<Contributions<T>> contributions, const Index* which,
                      const Index* divisors, Matrix<Accumulator<T>> out);
template <class T>
void contributed_rows(Cuda, std::type_identity_t<Contributions<T>> contributions, const Index* which,
                      const Index* divisors, Matrix<Accumulator<T>> out);

}  // namespace tartan::kernels
