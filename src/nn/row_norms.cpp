#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include <tartan/distributed/combine.hpp>
#include <tartan/distributed/leaves.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "nn/lookup.hpp"

namespace tartan::functional {

using namespace lookup;

template <class T, class I>
void renormalize_rows(const DistributedTensor<I>& ids, Variable<T> weight, double max_norm, double norm_type,
                      bool reproducible) {
  require(max_norm > 0, "max_norm is {}, but must be positive", max_norm);
  require(norm_type > 0, "norm_type is {}, but must be positive", norm_type);
  require(weight.shape().dimensions() == 2 && !weight.distribution().any(Placement::Kind::partial),
          "rows of a weight placed as {} have no norms: (V, D) without Partial is needed", weight.distribution());
  const bool largest = std::isinf(norm_type);
  const bool leaves = reproducible && !largest;  // the largest of several is the same in any order
  if (leaves) require_leaves(weight.distribution(), 1);
  check_ids(ids, weight.shape()[0]);

  const Block block(weight.distribution());
  const auto batch = gathered(ids);
  const auto plan =
      kernels::plan_rows(cpu, batch.local().data(), batch.local().elements(), block.first_row, block.rows, Index{-1});
  const auto distinct = static_cast<Index>(plan.rows.size());
  std::vector<double> norms(plan.rows.size());
  const auto table = matrix<const T>(weight.value().local(), block.rows, block.columns);
  const auto axes = weight.distribution().axes_of(1);
  if (!leaves) kernels::row_power_sums(cpu, table, plan.rows.data(), distinct, norm_type, norms.data());
  if (leaves) {
    std::vector<double> sums(norms.size() *
                             static_cast<std::size_t>((block.columns + leaf_columns - 1) / leaf_columns));
    kernels::leaf_power_sums(cpu, table, plan.rows.data(), distinct, norm_type, sums.data());
    norms = sum_leaves(weight.distribution(), 1, std::span<const double>(sums), distinct);
  } else if (largest) {
    // As bits, magnitudes keep their order and NaN is above all of them; a maximum of numbers may lose it.
    std::vector<std::int64_t> bits;
    for (const double n : norms) bits.push_back(std::bit_cast<std::int64_t>(n));
    combine_along(weight.topology(), axes, std::span(bits), Reduction::max);
    std::ranges::transform(bits, norms.begin(), [](std::int64_t n) { return std::bit_cast<double>(n); });
  } else {
    combine_along(weight.topology(), axes, std::span(norms));
  }
  for (double& n : norms) {
    if (!largest) n = std::pow(n, 1 / norm_type);
    n = n > max_norm ? max_norm / (n + 1e-7) : 1;
  }
  weight.modify([&](Tensor<T>& out) {
    kernels::scale_rows(cpu, plan.rows.data(), distinct, norms.data(), matrix<T>(out, block.rows, block.columns));
  });
}

#define INSTANTIATE(T, I) \
  template void renormalize_rows(const DistributedTensor<I>&, Variable<T>, double, double, bool);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
