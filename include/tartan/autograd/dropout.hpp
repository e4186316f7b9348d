#pragma once

#include <tartan/autograd/variable.hpp>
#include <tartan/base/random.hpp>

namespace tartan {

/// x with each element set to 0 with the probability `p` and the others divided by 1 - p, in any placement; the result
/// is placed as x, and nothing is sent. Which elements go is a function of `stream` and of their position in the
/// global tensor: the same on every grid, and copies agree. The mask is not kept but computed again for the gradient.
/// Throws Error on every rank unless 0 <= p <= 1, and for tensors of more than 8 dimensions.
template <class T>
Variable<T> dropout(const Variable<T>& x, double p, const RandomStream& stream);

}  // namespace tartan
