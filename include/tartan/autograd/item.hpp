#pragma once

#include <tartan/autograd/variable.hpp>

namespace tartan {

/// Collective over the root: the number that a 0-d tensor is, as a loss, on every rank of the root, inactive ones too
/// (a rank without a root, see CartesianTopology::along, gets 0). Terms of a Partial one are added, in double. Throws
/// Error on every rank where the tensor has dimensions.
template <class T>
double item(const DistributedTensor<T>& x);
template <class T>
double item(const Variable<T>& x) {
  return item(x.value());
}

}  // namespace tartan
