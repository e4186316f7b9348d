#pragma once

#include <optional>

#include <tartan/autograd/variable.hpp>

/// Normalisation over the last dimension of x (..., D), with a weight (D) and a bias (D), either of which may be null.
/// The result is placed as x. Along each axis, with `last` the last dimension of x and d any other:
///
///     x              weight, bias    gradients of x, weight and bias
///     Shard(d)       Replicate       Shard(d), Partial
///     Replicate      Replicate       Replicate, Replicate
///     Shard(last)    Shard(0)        Shard(last), Shard(0)
///     Root           Root            Root, Root
///
/// Other placements are refused on every rank, and so is a weight that is cut otherwise than x. Collective along axes
/// that shard the last dimension: forward, one all-gather of three numbers for each row of each rank; backward, one
/// all-reduce of two for each row. Nothing is sent along others. Computed in double and rounded once; the backward
/// pass keeps x and three numbers for each row.
namespace tartan::functional {

/// (x - mean) / sqrt(variance + epsilon) · weight + bias, with the variance of all D (not D - 1).
/// Ba, Kiros, Hinton: Layer normalization, 2016.
template <class T>
Variable<T> layer_norm(const Variable<T>& x, const Variable<T>& weight = {}, const Variable<T>& bias = {},
                       double epsilon = 1e-5);

/// x / sqrt(mean of x² + epsilon) · weight; epsilon is that of T (numeric_limits) unless given. Zhang, Sennrich: Root
/// mean square layer normalization, 2019.
template <class T>
Variable<T> rms_norm(const Variable<T>& x, const Variable<T>& weight = {}, std::optional<double> epsilon = {});

}  // namespace tartan::functional
