#include <algorithm>
#include <vector>

#include <tartan/autograd/tape.hpp>
#include <tartan/distributed/row_exchange.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "nn/lookup.hpp"

namespace tartan::functional {
namespace {

using namespace lookup;

/// Who moves rows for embedding_by_rows(), and where result and gradient are.
struct Route {
  std::vector<int> pulled;  ///< axes whose ranks ask the owners for the rows of their own ids
  std::vector<int>
      gathered;  ///< axes whose ranks have the same ids and give each other the rows they own, inner before outer
  std::vector<int> summed;  ///< axes along which the gradient's terms are summed, inner before outer
  Distribution result;
  Distribution terms;  ///< of the gradient before it is summed

  Route(const Distribution& ids, const Distribution& weight) {
    require(weight.shape().dimensions() == 2, "an embedding takes a weight of two dimensions, not {}", weight);
    require(ids.topology() == weight.topology(), "an embedding takes ids and weight on one topology, not {} and {}",
            ids, weight);
    auto placed = ids.placements();
    auto gradient = weight.placements();
    auto options = ids.options();
    for (std::size_t a = 0; a < placed.size(); ++a) {
      const auto axis = static_cast<int>(a);
      const auto w = weight.placement(axis);
      const auto i = ids.placement(axis);
      const bool alone = weight.grid().extent(axis) == 1 && w.is_root();
      const bool fits = (i.is_shard() && !w.is_partial() && !w.is_shard(1)) ||
                        (i.is_replicate() && (w.is_replicate() || w.is_shard() || alone));
      require(fits,
              "an embedding by rows does not take ids placed as {} with a weight placed as {}: along axis {}, {} and "
              "{} do not meet",
              ids, weight, axis, i, w);
      require(!i.is_shard() || !weight.blocks(axis),
              "an embedding by rows needs balanced blocks along axis {}, which splits the ids, not {}", axis, weight);
      if (w.is_shard(1)) placed[a] = Shard{-1};
      if (i.is_shard()) gradient[a] = Partial{};
      if (w.is_shard(1) && weight.blocks(axis)) options.block_extents[axis] = weight.options().block_extents.at(axis);
    }
    if (weight.axes_of(1).size() > 1) options.nesting = weight.nesting();
    result =
        Distribution(ids.topology(), ids.shape().appended(weight.shape()[1]), std::move(placed), std::move(options));
    terms = weight.with(std::move(gradient), weight.options());

    for (int axis = 0; axis < weight.grid().axes(); ++axis) {
      if (weight.grid().extent(axis) == 1 || !ids.placement(axis).is_shard()) continue;
      summed.push_back(axis);
      if (!weight.placement(axis).is_replicate()) pulled.push_back(axis);
    }
    for (const int axis : weight.axes_of(0)) {
      if (ids.placement(axis).is_replicate()) gathered.insert(gathered.begin(), axis);
    }
    require(pulled.size() <= 1,
            "an embedding by rows asks for rows along one axis at most, not along each that splits {}", weight);
    require(pulled.empty() || !weight.placement(pulled[0]).is_shard() || weight.axes_of(0).back() == pulled[0],
            "an embedding by rows needs the axis that splits both ids and rows to nest innermost in {}", weight);
  }
};

/// The part of the ascending `rows` in `block`.
std::span<const Index> within(std::span<const Index> rows, Interval block) {
  const auto first = std::ranges::lower_bound(rows, block.begin);
  return {first, std::max(first, std::ranges::lower_bound(rows, block.end))};
}

/// The rows that this rank's ids name, found once, and for each id which of them it is.
struct Named {
  std::vector<Index> rows;
  Tensor<Index> which;

  template <class I>
  Named(const DistributedTensor<I>& ids, Index bound) : which(Shape{ids.local().elements()}) {
    auto plan = kernels::plan_rows(cpu, ids.local().data(), ids.local().elements(), Index{0}, bound, Index{-1});
    for (std::size_t u = 0; u < plan.rows.size(); ++u) {
      for (Index k = plan.offsets[u]; k < plan.offsets[u + 1]; ++k)
        which[plan.positions[static_cast<std::size_t>(k)]] = static_cast<Index>(u);
    }
    rows = std::move(plan.rows);
  }
};

/// The named rows, one after the other, on every rank. Collective along the route's axes.
template <class T>
Tensor<T> fetch(const DistributedTensor<T>& weight, const Route& route, const std::vector<Index>& rows, Index most) {
  const auto& topology = weight.topology();
  // What the ranks of a pulled axis own together is what each of them holds where nothing is cut along it.
  auto held = weight.distribution();
  for (const int axis : route.pulled) held = held.with(axis, Replicate{});
  const Block block(held);
  auto wanted = within(rows, {block.first_row, block.first_row + block.rows});
  Tensor<T> found;
  if (route.pulled.empty()) {
    found = Tensor<T>(Shape{static_cast<Index>(wanted.size()), block.columns});
    kernels::gather_rows(cpu, matrix<const T>(weight.local(), block.rows, block.columns), block.first_row,
                         wanted.data(), matrix<T>(found, static_cast<Index>(wanted.size()), block.columns));
  } else {
    found = pull_rows(weight, route.pulled[0], wanted, most);
  }
  for (const int axis : route.gathered) {
    std::vector<Index> counts;
    for (int coordinate = 0; topology.active() && coordinate < held.grid().extent(axis); ++coordinate) {
      counts.push_back(
          static_cast<Index>(within(rows, held.block(held.grid().moved(topology.rank(), axis, coordinate))[0]).size()));
    }
    found = gather_pieces(topology, axis, found, counts);
    held = held.with(axis, Replicate{});
  }
  return found;
}

}  // namespace

template <class T, class I>
Variable<T> embedding_by_rows(const DistributedTensor<I>& ids, const Variable<T>& weight,
                              const EmbeddingOptions& options) {
  const Route route(ids.distribution(), weight.distribution());
  const Index padding = padding_row(options.padding_idx, weight.shape()[0]);
  check_ids(ids, weight.shape()[0]);
  if (options.max_norm) renormalize_rows(ids, weight, *options.max_norm, options.norm_type);

  const Index most = ids.shape().elements();
  const Named named(ids, weight.shape()[0]);
  const auto found = fetch(weight.value(), route, named.rows, most);
  DistributedTensor<T> rows(route.result);
  rows.modify([&](Tensor<T>& out) {
    const Index columns = found.shape()[1];
    kernels::gather_rows(cpu, matrix<const T>(found, found.shape()[0], columns), Index{0}, named.which.data(),
                         matrix<T>(out, ids.local().elements(), columns));
  });
  auto result = Variable<T>::result(std::move(rows), records(weight));
  if (result.requires_gradient()) {
    GradientTape::active()->record(
        "an embedding by rows", [weight, result, padding, options, route, most, saved = Saved(ids)] {
          auto upstream = result.take_contributions();
          if (!upstream) return;
          if (options.scale_grad_by_freq) divide_by_frequencies(saved.get(), *upstream);
          auto gradient = sparse_gradient(saved.get(), *upstream, route.terms, padding);
          for (const int axis : route.summed) {
            const auto& then = gradient.distribution;
            gradient = sum_rows(gradient, axis, then.with(axis, weight.distribution().placement(axis)), most);
          }
          gradient.distribution = weight.distribution();
          weight.contribute(options.sparse ? Gradient<T>(std::move(gradient)) : Gradient<T>(gradient.dense()));
        });
  }
  return result;
}

#define INSTANTIATE(T, I) \
  template Variable<T> embedding_by_rows(const DistributedTensor<I>&, const Variable<T>&, const EmbeddingOptions&);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
