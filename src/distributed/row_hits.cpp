#include <tartan/distributed/row_hits.hpp>

#include <algorithm>
#include <numeric>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "distributed/folded.hpp"
#include "distributed/owners.hpp"
#include "kernels/on.hpp"
#include "tensor/brought.hpp"

namespace tartan {
namespace {

/// The axes along which hits travel, and who they travel to: where copies are asked for, rows are split among the ranks
/// of the axis for the while, inside of every other split.
struct Owning {
  std::vector<int> axes;
  Distribution distribution;

  Owning(const Distribution& hits, const Distribution& to) {
    auto placements = to.placements();
    std::vector<int> nesting;
    std::vector<int> inner;
    for (const int axis : to.nesting()) {
      const auto target = to.placement(axis);
      const bool summed = hits.placement(axis).is_partial() && !target.is_partial();
      require(summed ? !target.is_shard(1) : hits.placement(axis) == target,
              "hits placed as {} do not add up to {}: along axis {} they differ otherwise than by a sum", hits, to,
              axis);
      const bool copies = summed && target.is_replicate();
      (copies ? inner : nesting).push_back(axis);
      if (copies) placements[static_cast<std::size_t>(axis)] = Shard{0};
      if (summed && to.grid().extent(axis) > 1) axes.push_back(axis);
    }
    nesting.insert(nesting.end(), inner.begin(), inner.end());
    auto options = to.options();
    options.nesting = nesting;
    distribution = to.with(std::move(placements), std::move(options));
    const auto splits = distribution.axes_of(0);
    const auto first = std::ranges::find_if(splits, [&](int axis) { return std::ranges::count(axes, axis) > 0; });
    require(std::all_of(first, splits.end(), [&](int axis) { return std::ranges::count(axes, axis) > 0; }),
            "hits are summed along axes that nest inside all others that split rows, not into {}", to);
    // An outer block has to be entered before those that are cut from it.
    std::ranges::sort(axes, {}, [&](int axis) { return std::ranges::find(nesting, axis) - nesting.begin(); });
  }
};

template <class T, class U>
kernels::Matrix<T> matrix(U& rows) {
  return {rows.data(), rows.shape()[0], rows.shape()[1], rows.shape()[1]};
}

/// The rows of `values` in the order `order`.
template <class T>
Tensor<T> arranged(const Tensor<T>& values, const std::vector<Index>& order) {
  const auto here = brought(order, values.device());
  Tensor<T> result(values.shape(), values.device());
  kernels::on(values.device(), [&](auto where) {
    kernels::gather_rows(where, matrix<const T>(values), Index{0}, here.data(), matrix<T>(result));
  });
  return result;
}

/// Hits on their way.
template <class T>
struct Travelling {
  Tensor<Index> names;  ///< (hits, 2) on the host: each one's row and position
  Tensor<T> values;     ///< (hits, columns), on the device

  Index count() const { return names.shape()[0]; }

  void send(const Owners& owners, Index most) {
    std::vector<std::size_t> owner;
    const auto name = std::as_const(names).span();
    for (std::size_t i = 0; i < name.size(); i += 2) {
      const auto found = std::ranges::find_if(owners.rows, [&](Interval block) { return block.contains(name[i]); });
      require(found != owners.rows.end(), "rows were hit that no rank along the axis owns");
      owner.push_back(static_cast<std::size_t>(found - owners.rows.begin()));
    }
    std::vector<Index> sent(owners.rows.size());
    for (const auto o : owner) ++sent[o];
    std::vector<Index> order(owner.size());
    std::iota(order.begin(), order.end(), Index{0});
    std::ranges::stable_sort(order, {}, [&](Index i) { return owner[static_cast<std::size_t>(i)]; });
    const auto received = owners.answered(sent);
    names = owners.exchange(arranged(names, order), sent, received, most);
    values = owners.exchange(arranged(values, order), sent, received, most);
  }

  RowSparse<T> folded(const Distribution& distribution) const {
    const auto name = names.span();
    std::vector<Index> order(static_cast<std::size_t>(count()));
    std::iota(order.begin(), order.end(), Index{0});
    std::ranges::sort(order, {}, [&](Index i) { return name[static_cast<std::size_t>(2 * i + 1)]; });
    std::vector<Index> rows;
    for (const Index i : order) rows.push_back(name[static_cast<std::size_t>(2 * i)]);

    const auto block = distribution.box(distribution.topology().rank())[0];
    const auto device = distribution.topology().device();
    const auto rows_here = brought(rows, device);
    const auto order_here = brought(order, device);
    return kernels::on(device, [&](auto where) {
      const auto plan = kernels::plan_rows(where, rows_here.data(), count(), block.begin, block.extent(), Index{-1});
      return tartan::folded<T>(where, plan, {matrix<const T>(values), order_here.data()}, distribution, device);
    });
  }
};

}  // namespace

void require_hits(const Distribution& hits, const Distribution& to) { (void)Owning(hits, to); }

template <class T>
RowSparse<T> fold_hits(const RowHits<T>& hits, const Distribution& to, Index most) {
  const Owning owning(hits.distribution, to);
  const auto& topology = to.topology();
  if (!topology.active()) return {.distribution = to, .rows = {}, .values = Tensor<T>(Shape{0, 0}, topology.device())};

  Travelling<T> travelling{.names = Tensor<Index>(Shape{std::ssize(hits.rows), 2}), .values = hits.values};
  const auto names = travelling.names.span();
  for (std::size_t i = 0; i < hits.rows.size(); ++i) {
    names[2 * i] = hits.rows[i];
    names[2 * i + 1] = hits.positions[i];
  }
  auto placements = owning.distribution.placements();
  for (const int axis : owning.axes) placements[static_cast<std::size_t>(axis)] = Partial{};
  for (const int axis : owning.axes) {
    const auto a = static_cast<std::size_t>(axis);
    placements[a] = owning.distribution.placement(axis);
    travelling.send(Owners(owning.distribution.with(placements), axis), most);
  }
  auto sum = travelling.folded(owning.distribution);
  sum = redistribute(std::move(sum), owning.distribution.with(to.placements()));
  sum.distribution = to;
  return sum;
}

#define INSTANTIATE(T) template RowSparse<T> fold_hits(const RowHits<T>&, const Distribution&, Index);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
