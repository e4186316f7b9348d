#pragma once

#include <tartan/autograd/operations.hpp>

namespace tartan {

/// Σ (x - y)² of numbers x against targets y of the same distribution, a 0-d variable, for `mean` divided by the number
/// of elements of the global tensor: added in double. Partial along axes that shard x, otherwise placed as x; x may not
/// be Partial. Does not communicate. Throws Error for `none`.
template <class T>
Variable<T> mean_squared_error(const Variable<T>& x, const DistributedTensor<T>& y,
                               LossReduction reduction = LossReduction::mean);

}  // namespace tartan
