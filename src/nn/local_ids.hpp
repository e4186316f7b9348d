#pragma once

#include <algorithm>

#include <tartan/tensor/tensor.hpp>

#include "base/fail.hpp"

namespace tartan::lookup {

/// Throws Error where an id is outside [0, bound), naming the first such id and its position.
template <class I>
void require_in_range(const Tensor<I>& ids, Index bound) {
  const auto all = ids.span();
  const auto bad = std::ranges::find_if(all, [bound](I id) { return id < 0 || id >= bound; });
  if (bad == all.end()) return;
  fail("id {} at position ({}) of the ids is out of range: the table has {} rows, so ids are 0 to {}", *bad,
       fmt::join(ids.shape().index(bad - all.begin()), ", "), bound, bound - 1);
}

}  // namespace tartan::lookup
