#pragma once

#include <vector>

#include <tartan/autograd/variable.hpp>

namespace tartan {

/// Collective over the root of the parameters' topologies, one reduction of a double: the Euclidean norm of all
/// gradients together, each logical element counted once whatever its copies; parameters without a gradient count
/// nothing. Every rank gets it. Throws Error, before anything moves, where the topologies
/// have different roots (were not made from copies of one Partition) and where a parameter is given twice.
template <class T>
double gradient_norm(const std::vector<Variable<T>>& parameters);

/// The same, and where the norm is above `max_norm` all gradients are multiplied by max_norm / (norm + 1e-6), as
/// PyTorch's clip_grad_norm_ does. Returns the norm before. A norm that is not finite leaves the gradients as they are.
/// Throws Error where max_norm is negative or no number.
template <class T>
double clip_gradient_norm(const std::vector<Variable<T>>& parameters, double max_norm);

}  // namespace tartan
