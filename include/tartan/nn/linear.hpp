#pragma once

#include <tartan/autograd/variable.hpp>

namespace tartan::functional {

/// x·weightᵀ + bias for x (..., in), weight (out, in) and, unless it is null, bias (out); the result is (..., out).
/// Does not communicate. Along each axis, with `last` the last dimension of x or of the result and d any other:
///
///     x              weight      bias        result        gradients of x, weight and bias
///     Shard(d)       Replicate   Replicate   Shard(d)      Shard(d), Partial, Partial
///     Replicate      Replicate   Replicate   Replicate     Replicate, Replicate, Replicate
///     Replicate      Shard(0)    Shard(0)    Shard(last)   Partial, Shard(0), Shard(0)
///     Shard(last)    Shard(1)    Replicate   Partial       Shard(last), Shard(1), Replicate
///     Partial        Replicate   Replicate   Partial       Replicate, Partial, Replicate
///     Root           Root        Root        Root          Root, Root, Root
///
/// Other placements are refused on every rank, and so is a dimension that two operands cut differently. Where the
/// result is Partial, coordinate 0 adds the bias.
template <class T>
Variable<T> linear(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias = {});

}  // namespace tartan::functional
