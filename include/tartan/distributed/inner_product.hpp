#pragma once

#include <tartan/distributed/distributed_tensor.hpp>

namespace tartan {

/// Collective over the root, so that <A x, y> = <x, A* y> can be asked on every rank, also of a move A between two
/// topologies. The sum over ranks of the inner products of local parts, in double: the pairing of a tensor with a dual
/// one. Throws Error unless y is placed as x.distribution().dual().
template <class T>
double pairing(const DistributedTensor<T>& x, const DistributedTensor<T>& y);

/// Collective over the root: every rank gets it. The inner product of two logical tensors of one shape and topology, in
/// double. Brings both to a placement without Partial terms first where there are any.
template <class T>
double inner(const DistributedTensor<T>& x, const DistributedTensor<T>& y);

/// Collective over the root: every rank gets it. The Euclidean norm of the logical tensor, sqrt(inner(x, x)).
template <class T>
double norm(const DistributedTensor<T>& x);

}  // namespace tartan
