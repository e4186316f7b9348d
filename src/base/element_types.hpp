#pragma once

#include <cstdint>

#include <tartan/base/half_types.hpp>

/// Expands `X` once for every element type that tensors have, to instantiate a template in the one file that holds its
/// body.
#define TARTAN_FOR_EACH_ELEMENT_TYPE(X) TARTAN_FOR_EACH_FLOATING_TYPE(X) TARTAN_FOR_EACH_ID_TYPE(X)

/// The same for the types of real numbers, which are differentiated.
#define TARTAN_FOR_EACH_FLOATING_TYPE(X) X(float) X(double) X(bfloat16) X(half)

/// The same for the types that ids may have.
#define TARTAN_FOR_EACH_ID_TYPE(X) X(std::int32_t) X(std::int64_t)

/// The same for each pair of a type of real numbers and a type of ids.
#define TARTAN_FOR_EACH_LOOKUP(X) \
  TARTAN_WITH_IDS(X, float) TARTAN_WITH_IDS(X, double) TARTAN_WITH_IDS(X, bfloat16) TARTAN_WITH_IDS(X, half)
#define TARTAN_WITH_IDS(X, T) X(T, std::int32_t) X(T, std::int64_t)
