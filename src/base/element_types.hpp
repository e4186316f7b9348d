#pragma once

#include <cstdint>

#include <tartan/base/half_types.hpp>

/// Expands `X` once for every element type that tensors have, to instantiate a template in the one file that holds its
/// body.
#define TARTAN_FOR_EACH_ELEMENT_TYPE(X) X(float) X(double) X(bfloat16) X(half) X(std::int32_t) X(std::int64_t)

/// The same for all types of real numbers.
#define TARTAN_FOR_EACH_REAL_TYPE(X) X(float) X(double) X(bfloat16) X(half)

/// The same for the types that are differentiated.
#define TARTAN_FOR_EACH_FLOATING_TYPE(X) X(float) X(double)

/// The same for the types that ids may have.
#define TARTAN_FOR_EACH_ID_TYPE(X) X(std::int32_t) X(std::int64_t)

/// The same for each pair of a differentiated type and a type of ids.
#define TARTAN_FOR_EACH_LOOKUP(X) \
  X(float, std::int32_t) X(float, std::int64_t) X(double, std::int32_t) X(double, std::int64_t)

/// The same for each pair of a type of real numbers and a type of ids.
#define TARTAN_FOR_EACH_REAL_LOOKUP(X) \
  TARTAN_FOR_EACH_LOOKUP(X)            \
  X(bfloat16, std::int32_t) X(bfloat16, std::int64_t) X(half, std::int32_t) X(half, std::int64_t)
