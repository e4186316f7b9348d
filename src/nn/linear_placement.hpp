#pragma once

#include <tartan/partition/distribution.hpp>

namespace tartan::linear_rule {

/// Where x·weightᵀ + bias and the gradients of its operands are computed without moving anything.
struct Placed {
  Distribution result, to_x, to_weight, to_bias;
};

/// By the table at functional::linear(). Throws Error, the same on every rank, where operands do not meet. `bias`: null
/// where there is none.
Placed place(const Distribution& x, const Distribution& weight, const Distribution* bias);

}  // namespace tartan::linear_rule
