#include <tartan/nn/functional.hpp>

#include <cmath>
#include <exception>
#include <unordered_map>
#include <vector>

#include <tartan/autograd/tape.hpp>
#include <tartan/comm/agreement.hpp>
#include <tartan/distributed/combine.hpp>
#include <tartan/distributed/redistribution.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/rows.hpp"

namespace tartan::functional {
namespace {

constexpr kernels::Cpu cpu;

struct Placed {
  Distribution result;
  Distribution gradient;
};

/// The table of embedding(): where result and gradient are, from where weight and ids are.
Placed placed(const Distribution& ids, const Distribution& weight) {
  require(weight.shape().dimensions() == 2, "an embedding takes a weight of two dimensions, not {}",
          weight.to_string());
  require(ids.topology() == weight.topology(), "an embedding takes ids and weight on one topology, not {} and {}",
          ids.to_string(), weight.to_string());
  auto result = ids.placements();
  auto gradient = weight.placements();
  for (std::size_t axis = 0; axis < result.size(); ++axis) {
    const auto w = weight.placements()[axis];
    const auto i = ids.placements()[axis];
    const bool fits = (w.is_replicate() && (i.is_shard() || i.is_replicate())) || (w.is_shard() && i.is_replicate()) ||
                      (w.is_partial() && i.is_replicate()) || (w.is_root() && i.is_root());
    require(
        fits,
        "an embedding does not take ids placed as {} with a weight placed as {}: along axis {}, {} and {} do not meet",
        ids.to_string(), weight.to_string(), axis, i.to_string(), w.to_string());
    if (w.is_shard(0) || w.is_partial()) result[axis] = Partial{};
    if (w.is_shard(1)) result[axis] = Shard{-1};
    if (w.is_replicate() && i.is_shard()) gradient[axis] = Partial{};
    if (w.is_partial()) gradient[axis] = Replicate{};
  }
  // The dimensions of ids nest as they do there, the columns as they do in the weight.
  auto options = ids.options();
  for (auto& [axis, extents] : weight.options().block_extents) {
    if (weight.placement(axis).is_shard(1)) options.block_extents[axis] = extents;
  }
  if (weight.axes_of(1).size() > 1) options.nesting = weight.nesting();
  return {Distribution(ids.topology(), ids.shape().appended(weight.shape()[1]), std::move(result), std::move(options)),
          weight.with(std::move(gradient), weight.options())};
}

template <class I>
void require_in_range(const DistributedTensor<I>& ids, Index bound) {
  const auto range = ids.local_range();
  if (!range || (range->first >= 0 && range->second < bound)) return;
  const auto local = ids.local().span();
  Index flat = 0;
  while (local[static_cast<std::size_t>(flat)] >= 0 && local[static_cast<std::size_t>(flat)] < bound) ++flat;
  auto position = ids.local().shape().index(flat);
  const auto box = ids.box();
  for (int dim = 0; dim < box.dimensions(); ++dim) position[static_cast<std::size_t>(dim)] += box[dim].begin;
  fail("id {} at position ({}) of the ids on rank {} is out of range: the table has {} rows, so ids are 0 to {}",
       local[static_cast<std::size_t>(flat)], fmt::join(position, ", "), ids.topology().root().rank(), bound,
       bound - 1);
}

/// Agrees on the ids along the axes that shard them; replicated ids are judged alike by every rank that has them.
template <class I>
void check_ids(const DistributedTensor<I>& ids, Index bound) {
  if (ids.is_checked(bound)) return;
  std::exception_ptr error;
  try {
    require_in_range(ids, bound);
  } catch (...) {
    error = std::current_exception();
  }
  const auto& d = ids.distribution();
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    const auto placement = d.placement(axis);
    if (placement.is_replicate() || d.grid().extent(axis) == 1 || !ids.topology().active()) continue;
    try {
      agree(ids.topology().axis(axis), error);
    } catch (const MpiError&) {
      throw;
    } catch (...) {
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
  ids.set_checked(bound);
}

Index padding_row(const std::optional<Index>& padding_idx, Index rows) {
  if (!padding_idx) return -1;
  require(-rows <= *padding_idx && *padding_idx < rows, "padding_idx {} is out of range: the table has {} rows",
          *padding_idx, rows);
  return *padding_idx < 0 ? *padding_idx + rows : *padding_idx;
}

template <class T, class U>
kernels::Matrix<T> matrix(U& local, Index rows, Index columns) {
  return {local.data(), rows, columns, columns};
}

/// The rows and columns of the block that this rank has of a (V, D) tensor; none where it has nothing.
struct Block {
  Index first_row = 0;
  Index rows = 0;
  Index columns = 0;

  explicit Block(const Distribution& distribution) {
    const auto box = distribution.box(distribution.topology().rank());
    first_row = box[0].begin;
    rows = box[0].extent();
    columns = box[1].extent();
  }
};

/// Collective along the axes that shard the ids: the whole batch.
template <class I>
DistributedTensor<I> gathered(const DistributedTensor<I>& ids) {
  auto placements = ids.distribution().placements();
  for (auto& placement : placements) {
    if (placement.is_shard()) placement = Replicate{};
  }
  return redistribute(ids, ids.distribution().with(std::move(placements)));
}

/// Collective along the axes that shard the ids: divides each row of `upstream` by how often its id occurs in the whole
/// batch.
template <class T, class I>
void divide_by_frequencies(const DistributedTensor<I>& ids, DistributedTensor<T>& upstream) {
  std::unordered_map<I, T> counts;
  for (const I id : gathered(ids).local().span()) counts[id] += 1;
  DistributedTensor<T> divided(upstream.distribution());
  divided.modify([&](Tensor<T>& out) {
    const Index columns = ids.local().elements() == 0 ? 0 : out.elements() / ids.local().elements();
    for (Index i = 0; i < out.elements(); ++i) {
      out[i] = upstream.local()[i] / counts.at(ids.local()[i / columns]);
    }
  });
  upstream = std::move(divided);
}

/// The rows of `upstream` summed into the rows of the weight that the ids hit.
template <class T, class I>
Gradient<T> weight_gradient(const DistributedTensor<I>& ids, const DistributedTensor<T>& upstream,
                            const Distribution& distribution, Index padding, bool sparse) {
  const Block block(distribution);
  const Index hits = ids.local().elements();
  const auto plan = kernels::plan_rows(cpu, ids.local().data(), hits, block.first_row, block.rows, padding);
  const auto contributions = matrix<const T>(upstream.local(), hits, block.columns);
  if (!sparse) {
    auto gradient = DistributedTensor<T>::zeros(distribution);
    gradient.modify([&](Tensor<T>& out) {
      kernels::accumulate_rows(cpu, plan, contributions, matrix<T>(out, block.rows, block.columns));
    });
    return gradient;
  }
  const auto distinct = static_cast<Index>(plan.rows.size());
  RowSparse<T> gradient{
      .distribution = distribution, .rows = plan.rows, .values = Tensor<T>(Shape{distinct, block.columns})};
  for (Index& row : gradient.rows) row += block.first_row;
  kernels::fold_rows(cpu, plan, contributions, matrix<T>(gradient.values, distinct, block.columns));
  return gradient;
}

}  // namespace

template <class T, class I>
Variable<T> embedding(const DistributedTensor<I>& ids, const Variable<T>& weight, const EmbeddingOptions& options) {
  const auto where = placed(ids.distribution(), weight.distribution());
  const Index padding = padding_row(options.padding_idx, weight.shape()[0]);
  check_ids(ids, weight.shape()[0]);
  if (options.max_norm) renormalize_rows(ids, weight, *options.max_norm, options.norm_type);

  const Block block(weight.distribution());
  DistributedTensor<T> rows(where.result);
  rows.modify([&](Tensor<T>& out) {
    kernels::gather_rows(cpu, matrix<const T>(weight.value().local(), block.rows, block.columns), block.first_row,
                         ids.local().data(), matrix<T>(out, ids.local().elements(), block.columns));
  });
  auto result = Variable<T>::result(std::move(rows), records(weight));
  if (result.requires_gradient()) {
    GradientTape::active()->record(
        "an embedding", [weight, result, padding, options, gradient = where.gradient, saved = Saved(ids)] {
          auto upstream = result.take_contributions();
          if (!upstream) return;
          if (options.scale_grad_by_freq) divide_by_frequencies(saved.get(), *upstream);
          weight.contribute(weight_gradient(saved.get(), *upstream, gradient, padding, options.sparse));
        });
  }
  return result;
}

template <class T, class I>
void renormalize_rows(const DistributedTensor<I>& ids, Variable<T> weight, double max_norm, double norm_type) {
  require(max_norm > 0, "max_norm is {}, but must be positive", max_norm);
  require(norm_type > 0, "norm_type is {}, but must be positive", norm_type);
  require(weight.shape().dimensions() == 2 && !weight.distribution().any(Placement::Kind::partial),
          "rows of a weight placed as {} have no norms: (V, D) without Partial is needed", weight.distribution());
  check_ids(ids, weight.shape()[0]);

  const Block block(weight.distribution());
  const auto batch = gathered(ids);
  const auto plan =
      kernels::plan_rows(cpu, batch.local().data(), batch.local().elements(), block.first_row, block.rows, Index{-1});
  const auto distinct = static_cast<Index>(plan.rows.size());
  std::vector<double> norms(plan.rows.size());
  kernels::row_power_sums(cpu, matrix<const T>(weight.value().local(), block.rows, block.columns), plan.rows.data(),
                          distinct, norm_type, norms.data());
  const bool largest = std::isinf(norm_type);
  combine_along(weight.topology(), weight.distribution().axes_of(1), std::span(norms),
                largest ? Reduction::max : Reduction::sum);
  for (double& n : norms) {
    if (!largest) n = std::pow(n, 1 / norm_type);
    n = n > max_norm ? max_norm / (n + 1e-7) : 1;
  }
  weight.modify([&](Tensor<T>& table) {
    kernels::scale_rows(cpu, plan.rows.data(), distinct, norms.data(), matrix<T>(table, block.rows, block.columns));
  });
}

#define INSTANTIATE(T, I)                                                                                   \
  template Variable<T> embedding(const DistributedTensor<I>&, const Variable<T>&, const EmbeddingOptions&); \
  template void renormalize_rows(const DistributedTensor<I>&, Variable<T>, double, double);
INSTANTIATE(float, std::int32_t)
INSTANTIATE(float, std::int64_t)
INSTANTIATE(double, std::int32_t)
INSTANTIATE(double, std::int64_t)
#undef INSTANTIATE

}  // namespace tartan::functional
