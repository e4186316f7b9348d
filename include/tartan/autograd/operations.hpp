#pragma once

#include <tartan/autograd/tape.hpp>
#include <tartan/autograd/variable.hpp>
#include <tartan/distributed/redistribution.hpp>

/// Differentiable operations on variables. Each checks placements and shapes on global metadata first and throws the
/// same Error on every rank. None communicates unless it says so; in the backward pass, a gradient is brought to
/// distribution().gradient() of the operation's result, which communicates where it lies otherwise.
namespace tartan {

/// Collective: see Redistribution. The gradient is the same logical tensor, so that backward moves it only when its
/// consumer needs it elsewhere.
template <class T>
Variable<T> redistribute(const Variable<T>& x, const Distribution& to);
template <class T>
Variable<T> redistribute(const Variable<T>& x, Placements to) {
  return redistribute(x, x.distribution().with(std::move(to)));
}

/// What redistribute(x, value.distribution()) gives, for a caller that has moved x's value already. Does not
/// communicate.
template <class T>
Variable<T> redistributed(const Variable<T>& x, DistributedTensor<T> value);

/// Element-wise sum of two variables of one distribution (Partial + Partial is Partial).
template <class T>
Variable<T> operator+(const Variable<T>& a, const Variable<T>& b);

/// Element-wise product of two variables of one distribution, except that a Partial axis of one must be Replicate in
/// the other; the product is Partial there.
template <class T>
Variable<T> operator*(const Variable<T>& a, const Variable<T>& b);

/// factor · x, in any placement.
template <class T>
Variable<T> operator*(std::type_identity_t<T> factor, const Variable<T>& x);

/// The sum of all elements, a 0-d variable: Partial along axes where x is Shard or Partial, otherwise placed as x.
/// Terms are added in double.
template <class T>
Variable<T> sum(const Variable<T>& x);

/// Inner products over the last dimension: a (…, D) and b (…, D) give (…); a (…, D) and b (…, K, D) give (…, K), each
/// row of `a` against its own K rows of `b`. Along each axis a and b are placed alike (a dimension of a's is the same
/// of b's, the last is the last), or one is Partial and the other Replicate. The result is Partial along axes that
/// shard the last dimension or where an operand is Partial, otherwise placed as they are.
template <class T>
Variable<T> dot(const Variable<T>& a, const Variable<T>& b);

/// How a loss over many elements becomes one number.
enum class LossReduction { mean, sum };

/// The binary cross-entropy, in nats, of logits x against labels y in [0, 1] of the same distribution, a 0-d variable:
/// Σ max(x, 0) - x·y + log(1 + exp(-|x|)), for `mean` divided by the number of elements of the global tensor. Partial
/// along axes that shard x, otherwise placed as x; x may not be Partial.
template <class T>
Variable<T> binary_cross_entropy_with_logits(const Variable<T>& x, const DistributedTensor<T>& y,
                                             LossReduction reduction = LossReduction::mean);

}  // namespace tartan
