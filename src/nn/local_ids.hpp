#pragma once

#include <algorithm>
#include <optional>
#include <span>

#include <tartan/tensor/tensor.hpp>

#include "base/fail.hpp"
#include "kernels/ids.hpp"
#include "kernels/on.hpp"

namespace tartan::lookup {

/// The flat position of the first id outside [0, bound), where one bound is for all ids, or one for each index of the
/// last dimension, and not `allowed`; -1 where there is none. Waits for a device on which the ids lie.
template <class I>
Index first_bad_id(const Tensor<I>& ids, std::span<const Index> bounds, std::optional<Index> allowed = {}) {
  Tensor<Index> found(Shape{1}, ids.device());
  kernels::on(ids.device(), [&](auto where) {
    kernels::find_bad_id(where, ids.data(), ids.elements(), bounds, allowed, found.data());
  });
  return found.to(Device{})[0];
}

/// Throws Error where an id is outside [0, bound), naming the first such id and its position.
template <class I>
void require_in_range(const Tensor<I>& ids, Index bound) {
  const Index bad = first_bad_id(ids, {&bound, 1});
  if (bad < 0) return;
  fail("id {} at position ({}) of the ids is out of range: the table has {} rows, so ids are 0 to {}",
       ids.to(Device{})[bad], fmt::join(ids.shape().index(bad), ", "), bound, bound - 1);
}

}  // namespace tartan::lookup
