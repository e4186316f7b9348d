#pragma once

#include <optional>
#include <span>

#include "kernels/view.hpp"

/// What is asked of ids before they are looked up.
namespace tartan::kernels {

/// *first_bad is the smallest i < count for which ids[i] is outside [0, bounds[i mod F]), F = bounds.size() > 0, and is
/// not `allowed`; -1 where there is none. `bounds` is the host's memory for both.
template <class I>
void find_bad_id(Cpu, const I* ids, Index count, std::span<const Index> bounds, std::optional<Index> allowed,
                 Index* first_bad);
template <class I>
void find_bad_id(Cuda, const I* ids, Index count, std::span<const Index> bounds, std::optional<Index> allowed,
                 Index* first_bad);

}  // namespace tartan::kernels
