#include <tartan/distributed/row_hits.hpp>

#include <algorithm>
#include <numeric>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "distributed/owners.hpp"
#include "kernels/rows.hpp"

namespace tartan {
namespace {

constexpr kernels::Cpu cpu;

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

/// `values` (n, columns) in the order `order`.
template <class T>
std::vector<T> arranged(const T* values, const std::vector<Index>& order, Index columns) {
  std::vector<T> result(order.size() * static_cast<std::size_t>(columns));
  kernels::gather_rows(cpu, kernels::Matrix<const T>{values, static_cast<Index>(order.size()), columns, columns},
                       Index{0}, order.data(),
                       kernels::Matrix<T>{result.data(), static_cast<Index>(order.size()), columns, columns});
  return result;
}

/// Hits on their way: `names` holds each one's row and position.
template <class T>
struct Travelling {
  std::vector<Index> names;
  std::vector<T> values;
  Index columns;

  Index count() const { return static_cast<Index>(names.size()) / 2; }

  void send(const Owners& owners, Index most) {
    std::vector<std::size_t> owner;
    for (std::size_t i = 0; i < names.size(); i += 2) {
      const auto found = std::ranges::find_if(owners.rows, [&](Interval block) { return block.contains(names[i]); });
      require(found != owners.rows.end(), "rows were hit that no rank along the axis owns");
      owner.push_back(static_cast<std::size_t>(found - owners.rows.begin()));
    }
    std::vector<Index> sent(owners.rows.size());
    for (const auto o : owner) ++sent[o];
    std::vector<Index> order(owner.size());
    std::iota(order.begin(), order.end(), Index{0});
    std::ranges::stable_sort(order, {}, [&](Index i) { return owner[static_cast<std::size_t>(i)]; });
    const auto received = owners.answered(sent);
    names = owners.exchange(std::span<const Index>(arranged(names.data(), order, 2)), sent, received, 2, most);
    values =
        owners.exchange(std::span<const T>(arranged(values.data(), order, columns)), sent, received, columns, most);
  }

  RowSparse<T> folded(const Distribution& distribution) const {
    std::vector<Index> order(static_cast<std::size_t>(count()));
    std::iota(order.begin(), order.end(), Index{0});
    std::ranges::sort(order, {}, [&](Index i) { return names[static_cast<std::size_t>(2 * i + 1)]; });
    std::vector<Index> rows;
    for (const Index i : order) rows.push_back(names[static_cast<std::size_t>(2 * i)]);

    const auto block = distribution.box(distribution.topology().rank())[0];
    const auto plan = kernels::plan_rows(cpu, rows.data(), count(), block.begin, block.extent(), Index{-1});
    const auto distinct = static_cast<Index>(plan.rows.size());
    RowSparse<T> result{.distribution = distribution, .rows = plan.rows, .values = Tensor<T>(Shape{distinct, columns})};
    for (Index& row : result.rows) row += block.begin;
    const kernels::Matrix<const T> contributions{values.data(), count(), columns, columns};
    kernels::fold_rows(cpu, plan, kernels::Contributions<T>(contributions, order.data()),
                       kernels::Matrix<T>{result.values.data(), distinct, columns, columns});
    return result;
  }
};

}  // namespace

void require_hits(const Distribution& hits, const Distribution& to) { (void)Owning(hits, to); }

template <class T>
RowSparse<T> fold_hits(const RowHits<T>& hits, const Distribution& to, Index most) {
  const Owning owning(hits.distribution, to);
  const auto& topology = to.topology();
  if (!topology.active()) return {.distribution = to, .rows = {}, .values = Tensor<T>(Shape{0, 0})};

  const auto values = hits.values.span();
  Travelling<T> travelling{.names = {}, .values = {values.begin(), values.end()}, .columns = hits.values.shape()[1]};
  for (std::size_t i = 0; i < hits.rows.size(); ++i) {
    travelling.names.insert(travelling.names.end(), {hits.rows[i], hits.positions[i]});
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
