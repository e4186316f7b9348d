#pragma once

#include <tartan/autograd/variable.hpp>

/// Softmax over the last dimension, whose rows are whole on a rank. The result is placed as x, and nothing is sent.
/// Computed in double and rounded once. Throws Error, the same on every rank, where x is 0-d, Partial, or sharded in
/// its last dimension.
namespace tartan {

/// exp(x) / Σ exp(x). Numbers of -infinity give 0; a row of nothing else is NaN.
template <class T>
Variable<T> softmax(const Variable<T>& x);

/// x - log Σ exp(x)
template <class T>
Variable<T> log_softmax(const Variable<T>& x);

}  // namespace tartan
