#pragma once

#include <optional>

#include <tartan/autograd/variable.hpp>

namespace tartan {

struct AttentionOptions {
  /// Position s of the sequence sees the positions 0, ..., s only.
  bool causal = false;
  /// Of the products of queries and keys; 1 / sqrt(d) unless given.
  std::optional<double> scale = {};
};

/// softmax(scale·q·kᵀ)·v for each batch entry and head: queries q (B, S, H, d), keys k (B, R, H, d) and values
/// v (B, R, H, e) give (B, S, H, e). q, k and v are placed alike, along each axis Shard(0), the batch, Shard(2), the
/// heads, Replicate or Root, and so is the result; sequences are whole on a rank. Anything else is refused on every
/// rank. Does not communicate.
///
/// Queries go in tiles of 128 rows, and the backward pass computes probabilities again: beside q, k, v and the result
/// there are never more than two tiles of (H, 128, R) numbers, H the heads of this rank, and for the half types, which
/// are multiplied and added in float, a copy of each tensor in float. Matrix products are those of linear layers: no
/// promise of bits.
/// Vaswani et al.: Attention is all you need, 2017; Dao et al.: FlashAttention, 2022 (tiles and recomputation).
template <class T>
Variable<T> scaled_dot_product_attention(const Variable<T>& q, const Variable<T>& k, const Variable<T>& v,
                                         AttentionOptions options = {});

}  // namespace tartan
