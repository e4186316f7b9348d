#pragma once

#include <type_traits>

#include "kernels/accumulator.hpp"
#include "kernels/view.hpp"

/// What lookups of bags need beside kernels/bags.hpp. Bag b of `bags` is made of the ids offsets[b] to
/// offsets[b + 1] - 1. Outputs must not overlap inputs. Both devices give the same bits.
namespace tartan::kernels {

/// bag[i] is the bag of id i.
void name_bags(Cpu, const Index* offsets, Index bags, Index* bag);
void name_bags(Cuda, const Index* offsets, Index bags, Index* bag);

/// sizes[b] is how many ids of bag b are not `padding` (-1: no padding).
template <class I>
void size_bags(Cpu, const I* ids, const Index* offsets, Index bags, Index padding, Index* sizes);
template <class I>
void size_bags(Cuda, const I* ids, const Index* offsets, Index bags, Index padding, Index* sizes);

/// Every element of row b of `out` becomes `value` where sizes[b] is 0.
template <class T>
void fill_empty_bags(Cpu, const Index* sizes, std::type_identity_t<T> value, Matrix<T> out);
template <class T>
void fill_empty_bags(Cuda, const Index* sizes, std::type_identity_t<T> value, Matrix<T> out);

/// shares[i] = 1 / sizes[bag[i]] for i < count: what id i has of the mean of its bag.
template <class A>
void share_bags(Cpu, const Index* sizes, const Index* bag, Index count, A* shares);
template <class A>
void share_bags(Cuda, const Index* sizes, const Index* bag, Index count, A* shares);

/// The adjoint of max_bags(): row i of `out`, which has a row for each id, becomes the elements of `upstream` that id i
/// won, and -0.0, the identity of addition, elsewhere.
template <class T>
void spread_to_winners(Cpu, const Index* winners, Matrix<const T> upstream, Matrix<T> out);
template <class T>
void spread_to_winners(Cuda, const Index* winners, Matrix<const T> upstream, Matrix<T> out);

/// out[i] for i < count, the gradient of the weight of id i: stays where row names[i] is one of `rows` from
/// `first_row` on, and is -0.0 elsewhere; `zero` where ids[i] is `padding`.
template <class T, class I, class N>
void settle_hits(Cpu, const I* ids, const N* names, Index first_row, Index rows, Index padding,
                 std::type_identity_t<T> zero, Index count, T* out);
template <class T, class I, class N>
void settle_hits(Cuda, const I* ids, const N* names, Index first_row, Index rows, Index padding,
                 std::type_identity_t<T> zero, Index count, T* out);

}  // namespace tartan::kernels
