#include "nn/row_norms.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>

#include <tartan/distributed/combine.hpp>
#include <tartan/distributed/leaves.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan::lookup {
namespace {

/// Collective: the sums of powers, or the largest magnitudes, of rows of which each rank along `axes` has its part.
void combine_norms(const CartesianTopology& topology, const std::vector<int>& axes, bool largest,
                   std::span<double> norms) {
  if (!largest) return combine_along(topology, axes, norms);
  // As bits, magnitudes keep their order and NaN is above all of them; a maximum of numbers may lose it.
  std::vector<std::int64_t> bits;
  for (const double n : norms) bits.push_back(std::bit_cast<std::int64_t>(n));
  combine_along(topology, axes, std::span(bits), Reduction::max);
  std::ranges::transform(bits, norms.begin(), [](std::int64_t n) { return std::bit_cast<double>(n); });
}

}  // namespace

template <class T>
void require_norms(const Variable<T>& weight, const RowNorms& norms) {
  require(norms.max_norm > 0, "max_norm is {}, but must be positive", norms.max_norm);
  require(norms.norm_type > 0, "norm_type is {}, but must be positive", norms.norm_type);
  require(weight.shape().dimensions() == 2 && !weight.distribution().any(Placement::Kind::partial),
          "rows of a weight placed as {} have no norms: (V, D) without Partial is needed", weight.distribution());
  if (norms.leaves()) require_leaves(weight.distribution(), 1);
}

template <class T, class I>
void renormalize(const std::vector<DistributedTensor<I>>& batches, std::vector<Variable<T>> weights,
                 const RowNorms& options) {
  const auto [max_norm, p, reproducible] = options;
  std::vector<kernels::RowPlan> plans;
  std::vector<double> norms;  // of each weight's distinct rows
  std::vector<std::uint64_t> versions;
  for (std::size_t f = 0; f < weights.size(); ++f) {
    const auto& weight = weights[f].value();
    versions.push_back(weight.version());
    const Block block(weight.distribution());
    const auto& batch = batches[f].local();
    plans.push_back(kernels::plan_rows(cpu, batch.data(), batch.elements(), block.first_row, block.rows, Index{-1}));
    const auto& rows = plans.back().rows;
    const auto table = matrix<const T>(weight.local(), block.rows, block.columns);
    const Index leaves = options.leaves() ? leaves_of(block.columns) : 1;
    std::vector<double> sums(rows.size() * static_cast<std::size_t>(leaves));
    if (options.leaves()) {
      kernels::leaf_power_sums(cpu, table, rows.data(), std::ssize(rows), p, sums.data());
      sums = sum_leaves(weight.distribution(), 1, std::span<const double>(sums), std::ssize(rows));
    } else {
      kernels::row_power_sums(cpu, table, rows.data(), std::ssize(rows), p, sums.data());
    }
    norms.insert(norms.end(), sums.begin(), sums.end());
  }
  const auto& d = weights.front().distribution();
  if (!options.leaves()) combine_norms(d.topology(), d.axes_of(1), std::isinf(p), norms);
  for (double& n : norms) {
    if (!std::isinf(p)) n = std::pow(n, 1 / p);
    n = n > max_norm ? max_norm / (n + 1e-7) : 1;
  }
  const double* factors = norms.data();
  for (std::size_t f = 0; f < weights.size(); ++f) {
    const auto& rows = plans[f].rows;
    if (weights[f].value().version() != versions[f]) {  // it was scaled before: a weight that stands here twice
      renormalize<T, I>({batches[f]}, {weights[f]}, options);
      factors += rows.size();
      continue;
    }
    weights[f].modify([&](Tensor<T>& out) {
      const Block block(weights[f].distribution());
      kernels::scale_rows(cpu, rows.data(), std::ssize(rows), factors, matrix<T>(out, block.rows, block.columns));
    });
    factors += rows.size();
  }
}

#define INSTANTIATE(T, I) \
  template void renormalize(const std::vector<DistributedTensor<I>>&, std::vector<Variable<T>>, const RowNorms&);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

#define INSTANTIATE(T) template void require_norms(const Variable<T>&, const RowNorms&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::lookup

namespace tartan::functional {

template <class T, class I>
void renormalize_rows(const DistributedTensor<I>& ids, Variable<T> weight, double max_norm, double norm_type,
                      bool reproducible) {
  const lookup::RowNorms norms{max_norm, norm_type, reproducible};
  lookup::require_norms(weight, norms);
  lookup::check_ids(ids, weight.shape()[0]);
  lookup::renormalize<T, I>({lookup::gathered(ids)}, {weight}, norms);
}

#define INSTANTIATE(T, I) \
  template void renormalize_rows(const DistributedTensor<I>&, Variable<T>, double, double, bool);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
