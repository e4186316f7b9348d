#pragma once

#include <tartan/autograd/variable.hpp>

/// Softmax over the last dimension. The result is placed as x. Where rows are whole on a rank nothing is sent; where
/// axes cut them, shards become whole rows by one reduction of two doubles a row along those axes, and of one in the
/// backward pass. Computed in double and rounded once; the exponentials of cut rows of float and the half types, for
/// the sum, in float. Throws Error, the same on every rank, where x is 0-d, Partial, or Root along an axis beside
/// others that cut rows.
namespace tartan {

/// exp(x) / Σ exp(x). Numbers of -infinity give 0; a row of nothing else is NaN.
template <class T>
Variable<T> softmax(const Variable<T>& x);

/// x - log Σ exp(x)
template <class T>
Variable<T> log_softmax(const Variable<T>& x);

}  // namespace tartan
