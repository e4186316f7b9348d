#include "nn/row_norms.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

#include <tartan/distributed/combine.hpp>
#include <tartan/distributed/leaves.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "tensor/brought.hpp"

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

/// The distinct rows that a plan hits.
template <class Where, class Plan>
Tensor<Index> named_rows(Where where, const Plan& plan, Device device) {
  auto* const rows = const_cast<Index*>(kernels::distinct_rows(where, plan));
  return Tensor<Index>::view(Shape{plan.distinct()}, rows, device).clone();
}

}  // namespace

void turn_into_factors(std::span<double> sums, const RowNorms& norms) {
  for (double& n : sums) {
    if (!std::isinf(norms.norm_type)) n = std::pow(n, 1 / norms.norm_type);
    n = n > norms.max_norm ? norms.max_norm / (n + 1e-7) : 1;
  }
}

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
  const double p = options.norm_type;
  std::vector<Tensor<Index>> rows;  // the distinct ones that each weight's batch names, in its block
  std::vector<double> norms;        // of all of them
  const auto& d = weights.front().distribution();
  const auto device = d.topology().device();
  std::vector<std::uint64_t> versions;
  for (std::size_t f = 0; f < weights.size(); ++f) {
    const auto& weight = weights[f].value();
    versions.push_back(weight.version());
    const Block block(weight.distribution());
    const auto& batch = batches[f].local();
    const auto table = matrix<const T>(weight.local(), block.rows, block.columns);
    const auto sums = kernels::on(device, [&](auto where) {
      const auto plan =
          kernels::plan_rows(where, batch.data(), batch.elements(), block.first_row, block.rows, Index{-1});
      rows.push_back(named_rows(where, plan, device));
      const Index count = plan.distinct();
      Tensor<double> result(Shape{count}, device);
      if (!options.leaves()) {
        kernels::row_power_sums(where, table, rows.back().data(), count, p, result.data());
        return result;
      }
      Tensor<double> leaves(Shape{count, leaves_of(block.columns)}, device);
      kernels::leaf_power_sums(where, table, rows.back().data(), count, p, leaves.data());
      sum_leaves(weight.distribution(), 1, leaves, result);
      return result;
    });
    const auto on_host = sums.to(Device{});
    norms.insert(norms.end(), on_host.span().begin(), on_host.span().end());
  }
  if (!options.leaves()) combine_norms(d.topology(), d.axes_of(1), std::isinf(p), norms);
  turn_into_factors(norms, options);
  const auto all_factors = brought(norms, device);
  const double* factors = all_factors.data();
  for (std::size_t f = 0; f < weights.size(); ++f) {
    const Index count = rows[f].elements();
    if (weights[f].value().version() != versions[f]) {  // it was scaled before: a weight that stands here twice
      renormalize<T, I>({batches[f]}, {weights[f]}, options);
    } else {
      weights[f].modify([&](Tensor<T>& out) {
        const Block block(weights[f].distribution());
        kernels::on(device, [&](auto where) {
          kernels::scale_rows(where, rows[f].data(), count, factors, matrix<T>(out, block.rows, block.columns));
        });
      });
    }
    factors += count;
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
