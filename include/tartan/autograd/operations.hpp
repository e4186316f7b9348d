#pragma once

#include <concepts>

#include <tartan/autograd/tape.hpp>
#include <tartan/autograd/variable.hpp>
#include <tartan/distributed/inner_product.hpp>
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
/// With the same placement on every axis: redistribute(x, Replicate{}) is the whole tensor on every rank.
template <class T, std::convertible_to<Placement> P>
Variable<T> redistribute(const Variable<T>& x, P to) {
  return redistribute(x, Placements(x.distribution().placements().size(), to));
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

/// factor · x, in any placement. The factor of half types is a float.
template <class T>
Variable<T> operator*(Accumulator<T> factor, const Variable<T>& x);
template <class T>
Variable<T> operator*(const Variable<T>& x, Accumulator<T> factor) {
  return factor * x;
}
template <class T>
Variable<T> operator-(const Variable<T>& x) {
  return Accumulator<T>{-1} * x;
}

/// Element-wise difference of two variables of one distribution: a + (-b).
template <class T>
Variable<T> operator-(const Variable<T>& a, const Variable<T>& b) {
  return a + -b;
}

/// The sum of all elements, a 0-d variable: Partial along axes where x is Shard or Partial, otherwise placed as x.
/// Terms are added in double.
template <class T>
Variable<T> sum(const Variable<T>& x);

/// Collective: see norm() of tensors. A number, to look at: no gradient flows through it.
template <class T>
double norm(const Variable<T>& x) {
  return norm(x.value());
}

struct DotOptions {
  /// Products are added by leaves of 32 columns (tartan/distributed/leaves.hpp), whose sums are all-gathered along the
  /// axis that shards the last dimension: the result is Replicate there, and its bits do not depend on the split.
  bool reproducible = false;
};

/// Inner products over the last dimension: a (…, D) and b (…, D) give (…); a (…, D) and b (…, K, D) give (…, K), each
/// row of `a` against its own K rows of `b`. Along each axis a and b are placed alike (a dimension of a's is the same
/// of b's, the last is the last), or one is Partial and the other Replicate. The result is Partial along axes that
/// shard the last dimension or where an operand is Partial, otherwise placed as they are. Does not communicate unless
/// reproducible, which takes one all-gather and throws Error where blocks of columns cut leaves.
template <class T>
Variable<T> dot(const Variable<T>& a, const Variable<T>& b, DotOptions options = {});

/// How a loss over many elements becomes one number, or does not.
enum class LossReduction { mean, sum, none };

/// The binary cross-entropy, in nats, of logits x against labels y of the same distribution, a 0-d variable:
/// Σ max(x, 0) - x·y + log(1 + exp(-|x|)), for `mean` divided by the number of elements of the global tensor. Partial
/// along axes that shard x, otherwise placed as x; x may not be Partial and the reduction not `none`. Labels are
/// probabilities, in [0, 1]; that is not checked, since it would cost a message for each batch, and the formula means
/// what it says for others too.
template <class T>
Variable<T> binary_cross_entropy_with_logits(const Variable<T>& x, const DistributedTensor<T>& y,
                                             LossReduction reduction = LossReduction::mean);

}  // namespace tartan
