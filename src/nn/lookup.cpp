#include "nn/lookup.hpp"

#include <algorithm>
#include <vector>

#include <tartan/distributed/row_exchange.hpp>
#include <tartan/distributed/row_hits.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"

namespace tartan::lookup {
namespace {

/// The part of the ascending `rows` in `block`.
std::span<const Index> within(std::span<const Index> rows, Interval block) {
  const auto first = std::ranges::lower_bound(rows, block.begin);
  return {first, std::max(first, std::ranges::lower_bound(rows, block.end))};
}

/// The rows that this rank's ids name, found once, and for each id which of them it is: -1 where it names none.
struct Named {
  std::vector<Index> rows;
  Tensor<Index> which;

  template <class I>
  Named(const DistributedTensor<I>& ids, Index bound) : which(Shape{ids.local().elements()}, Index{-1}) {
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

/// Each hit's contribution by itself, divided by its count where there are counts.
template <class T>
Tensor<T> one_by_one(const kernels::Contributions<T>& hits, Index count, const std::vector<Index>& counts) {
  const Index columns = hits.rows.columns;
  Tensor<T> result(Shape{count, columns});
  for (Index i = 0; i < count; ++i) {
    const T* from = hits.rows.row(hits.source != nullptr ? hits.source[i] : i);
    T* to = result.data() + i * columns;
    std::copy_n(from, columns, to);
    if (hits.factors != nullptr) std::for_each_n(to, columns, [&](T& x) { x *= hits.factors[i]; });
    if (counts.empty()) continue;
    const T divisor = static_cast<T>(counts[static_cast<std::size_t>(i)]);
    std::for_each_n(to, columns, [&](T& x) { x /= divisor; });
  }
  return result;
}

}  // namespace

template <class T, class I>
Lookup<T, I>::Lookup(const DistributedTensor<I>& ids, const Variable<T>& weight,
                     const functional::EmbeddingOptions& options, Moving moving, const Variable<T>& stored)
    : ids_(ids),
      weight_(weight),
      stored_(stored.is_null() ? weight : stored),
      options_(options),
      padding_{-1},
      route_(ids.distribution(), weight.distribution(), moving) {
  padding_ = padding_row(options_.padding_idx, weight.shape()[0]);
  auto placements = route_.terms.placements();
  const auto wanted = stored_.distribution().gradient();
  for (int axis = 0; axis < wanted.grid().axes(); ++axis) {
    auto& placement = placements[static_cast<std::size_t>(axis)];
    if (placement.is_partial()) placement = wanted.placement(axis);
  }
  home_ = wanted.with(std::move(placements));
  sent_ = moving == Moving::rows ? home_ : route_.terms;
  if (options_.reproducible) require_hits(route_.terms, home_);
  check_ids(ids, weight.shape()[0]);
  if (options_.max_norm)
    functional::renormalize_rows(ids, weight_, *options_.max_norm, options_.norm_type, options_.reproducible);
}

template <class T, class I>
RowsAtHand<T, I> Lookup<T, I>::rows() const {
  const auto& ids = ids_.get();
  if (route_.pulled.empty() && route_.gathered.empty()) {
    return {.rows = weight_.value().local(),
            .first_row = Block(weight_.distribution()).first_row,
            .padding = padding_,
            .ids = ids.local(),
            .renamed = {}};
  }
  const Named named(ids, weight_.shape()[0]);
  const auto padding = std::ranges::find(named.rows, padding_);
  return {.rows = fetch(weight_.value(), route_, named.rows, ids.shape().elements()),
          .first_row = 0,
          .padding = padding == named.rows.end() ? -1 : padding - named.rows.begin(),
          .ids = ids.local(),
          .renamed = named.which};
}

template <class T, class I>
void Lookup<T, I>::contribute(const kernels::Contributions<T>& hits) const {
  if (!options_.scale_grad_by_freq) return weight_.contribute(gradient(hits));
  const auto divided = one_by_one(hits, ids().local().elements(), frequencies(ids()));
  weight_.contribute(gradient({matrix<const T>(divided, divided.shape()[0], divided.shape()[1])}));
}

template <class T, class I>
Gradient<T> Lookup<T, I>::gradient(const kernels::Contributions<T>& hits) const {
  const Block block(route_.terms);
  const auto& local = ids().local();
  const auto plan = [&] {
    return kernels::plan_rows(cpu, local.data(), local.elements(), block.first_row, block.rows, padding_);
  };
  if (!options_.sparse && !options_.reproducible && sent_ == route_.terms) {
    auto gradient = DistributedTensor<T>::zeros(route_.terms);
    gradient.modify([&](Tensor<T>& out) {
      kernels::accumulate_rows(cpu, plan(), hits, matrix<T>(out, block.rows, block.columns));
    });
    return gradient;
  }
  RowSparse<T> gradient;
  if (options_.reproducible) {
    // Where it is kept, so that the order in which lookups add up does not depend on where their ids are.
    gradient = folded_in_order(hits);
    const auto kept = stored_.distribution().gradient();
    if (moves_by_rows(gradient.distribution, kept)) gradient = redistribute(std::move(gradient), kept);
  } else {
    const auto named = plan();
    const auto distinct = static_cast<Index>(named.rows.size());
    gradient = {.distribution = route_.terms, .rows = named.rows, .values = Tensor<T>(Shape{distinct, block.columns})};
    for (Index& row : gradient.rows) row += block.first_row;
    kernels::fold_rows(cpu, named, hits, matrix<T>(gradient.values, distinct, block.columns));
    gradient = redistribute(std::move(gradient), sent_);
  }
  return options_.sparse ? Gradient<T>(std::move(gradient)) : Gradient<T>(gradient.dense());
}

template <class T, class I>
RowSparse<T> Lookup<T, I>::folded_in_order(const kernels::Contributions<T>& hits) const {
  const Block block(route_.terms);
  const auto local = ids().local().span();
  const auto where = positions(ids());
  RowHits<T> mine{.distribution = route_.terms, .rows = {}, .positions = {}, .values = {}};
  std::vector<Index> chosen;
  for (std::size_t i = 0; i < local.size(); ++i) {
    const auto row = static_cast<Index>(local[i]);
    if (row == padding_ || row < block.first_row || row >= block.first_row + block.rows) continue;
    mine.rows.push_back(row);
    mine.positions.push_back(where[i]);
    chosen.push_back(static_cast<Index>(i));
  }
  const auto count = static_cast<Index>(chosen.size());
  std::vector<Index> source;
  std::vector<T> factors;
  for (const Index i : chosen) {
    source.push_back(hits.source != nullptr ? hits.source[i] : i);
    if (hits.factors != nullptr) factors.push_back(hits.factors[i]);
  }
  mine.values = one_by_one<T>({hits.rows, source.data(), factors.empty() ? nullptr : factors.data()}, count, {});
  return fold_hits(mine, home_, ids().shape().elements());
}

template <class T, class I>
Variable<T> looked_up(const Lookup<T, I>& lookup) {
  DistributedTensor<T> rows(lookup.result());
  rows.modify([&](Tensor<T>& out) {
    const Index count = lookup.ids().local().elements();
    lookup.rows().read([&](auto table, Index first_row, const auto* ids) {
      kernels::gather_rows(cpu, table, first_row, ids, matrix<T>(out, count, table.columns));
    });
  });
  auto result = Variable<T>::result(std::move(rows), records(lookup.weight()));
  if (result.requires_gradient()) {
    GradientTape::active()->record("an embedding", [lookup, result] {
      const auto upstream = result.take_contributions();
      if (!upstream) return;
      const Index count = lookup.ids().local().elements();
      lookup.contribute({matrix<const T>(upstream->local(), count, lookup.columns())});
    });
  }
  return result;
}

#define INSTANTIATE(T, I)      \
  template class Lookup<T, I>; \
  template Variable<T> looked_up(const Lookup<T, I>&);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::lookup
