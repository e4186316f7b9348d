#pragma once

#include <vector>

#include <tartan/autograd/variable.hpp>

/// Other shapes of a variable, parts of it, and several as one. Nothing is sent.
namespace tartan {

/// x under another shape of as many elements in the same row-major order, sharing them: dimensions are split and
/// merged. A sharded dimension that stays as it is keeps its cut. Of one that is split or merged with those behind it,
/// the first dimension of the result is sharded in its place: (B, S, H·d) with Shard(2) gives (B, S, H, d) with
/// Shard(2), and back. Each block must hold whole rows of the new dimension, as many as there are, also none: given
/// block extents follow. Partial, Replicate and Root stay. Throws Error on every rank where the numbers of elements
/// differ, where a sharded dimension would be merged with one before it, and, naming blocks that would do, where
/// blocks cut rows of the new dimension.
template <class T>
Variable<T> reshape(const Variable<T>& x, const Shape& shape);

/// The indices begin, ..., end - 1 of dimension `dim` (negative: from the end), which is not sharded. Placed as x.
/// Throws Error on every rank where it is, and unless 0 <= begin <= end <= the extent.
template <class T>
Variable<T> slice(const Variable<T>& x, int dim, Index begin, Index end);

/// x cut along dimension `dim` (negative: from the end), which is not sharded, into parts of the given extents. Placed
/// as x. Throws Error on every rank where it is, and unless the extents add up to its own.
template <class T>
std::vector<Variable<T>> split(const Variable<T>& x, const std::vector<Index>& extents, int dim = -1);

/// The inverse: variables placed alike, which differ in the extent of dimension `dim` only, one behind the other.
/// Throws Error on every rank where they do not meet or `dim` is sharded.
template <class T>
Variable<T> concatenate(const std::vector<Variable<T>>& xs, int dim = -1);

}  // namespace tartan
