#include "nn/lookup.hpp"

#include <algorithm>
#include <vector>

#include <tartan/distributed/row_exchange.hpp>
#include <tartan/distributed/row_hits.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "distributed/folded.hpp"
#include "kernels/row_copies.hpp"
#include "tensor/brought.hpp"

namespace tartan::lookup {
namespace {

/// The part of the ascending `rows` in `block`.
std::span<const Index> within(std::span<const Index> rows, Interval block) {
  const auto first = std::ranges::lower_bound(rows, block.begin);
  return {first, std::max(first, std::ranges::lower_bound(rows, block.end))};
}

/// The rows that this rank's ids name, found once, and for each id which of them it is: -1 where it names none. All on
/// the host, whence the numbers of rows travel.
struct Named {
  std::vector<Index> rows;
  DistributedTensor<Index> which;

  template <class I>
  Named(const DistributedTensor<I>& ids, Index bound) {
    const auto local = ids.local_on_host();
    Tensor<Index> numbers(local.shape(), Index{-1});
    auto plan = kernels::plan_rows(kernels::Cpu{}, local.data(), local.elements(), Index{0}, bound, Index{-1});
    for (std::size_t u = 0; u < plan.rows.size(); ++u) {
      for (Index k = plan.offsets[u]; k < plan.offsets[u + 1]; ++k)
        numbers[plan.positions[static_cast<std::size_t>(k)]] = static_cast<Index>(u);
    }
    rows = std::move(plan.rows);
    which = DistributedTensor<Index>::from_local(ids.distribution(), std::move(numbers), LocalCheck::none);
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
    const auto device = weight.topology().device();
    const auto here = brought(wanted, device);
    found = Tensor<T>(Shape{here.elements(), block.columns}, device);
    kernels::on(device, [&](auto where) {
      kernels::gather_rows(where, matrix<const T>(weight.local(), block.rows, block.columns), block.first_row,
                           here.data(), matrix<T>(found, here.elements(), block.columns));
    });
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

/// The contributions of `count` hits, each by itself: of those that `which` names, if it does; divided by `divisors`,
/// if there are some.
template <class T>
Tensor<Accumulator<T>> one_by_one(Device device, const kernels::Contributions<T>& hits, Index count, const Index* which,
                                  const Index* divisors) {
  using A = Accumulator<T>;
  Tensor<A> result(Shape{count, hits.rows.columns}, device);
  kernels::on(device, [&](auto where) {
    kernels::contributed_rows<T>(where, hits, which, divisors, matrix<A>(result, count, hits.rows.columns));
  });
  return result;
}

template <class T, class V>
RowSparse<T> rounded_rows(RowSparse<V> x) {
  return {.distribution = std::move(x.distribution), .rows = std::move(x.rows), .values = rounded<T>(x.values)};
}

}  // namespace

void require_order(const functional::EmbeddingOptions& options) {
  require(!options.atomics || !options.reproducible, "an embedding is reproducible or adds by atomics, not both");
}

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
  require_order(options_);
  check_ids(ids, weight.shape()[0]);
  if (options_.max_norm)
    functional::renormalize_rows(ids, weight_, *options_.max_norm, options_.norm_type, options_.reproducible);
  if (options_.reproducible || unordered() || !records(weight_)) return;
  kernels::on(ids.topology().device(), [&]([[maybe_unused]] auto where) {
    if constexpr (std::is_same_v<decltype(where), kernels::Cuda>) {
      const Block block(route_.terms);
      const auto& local = ids.local();
      plan_ = kernels::plan_rows_aside(where, local.data(), local.elements(), block.first_row, block.rows, padding_);
    }
  });
}

template <class T, class I>
RowsAtHand<T, I> Lookup<T, I>::rows() const {
  const auto& ids = ids_.get();
  if (route_.pulled.empty() && route_.gathered.empty()) {
    return {.rows = weight_.value().local(),
            .first_row = Block(weight_.distribution()).first_row,
            .padding = padding_,
            .ids = ids,
            .renamed = {}};
  }
  const Named named(ids, weight_.shape()[0]);
  const auto padding = std::ranges::find(named.rows, padding_);
  return {.rows = fetch(weight_.value(), route_, named.rows, ids.shape().elements()),
          .first_row = 0,
          .padding = padding == named.rows.end() ? -1 : padding - named.rows.begin(),
          .ids = ids,
          .renamed = named.which};
}

template <class T, class I>
bool Lookup<T, I>::unordered() const {
  const auto& d = route_.terms;
  bool copied = false;
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    copied = copied || (d.placement(axis).is_replicate() && d.grid().extent(axis) > 1);
  }
  return options_.atomics && std::is_same_v<T, Accumulator<T>> && !copied && !options_.sparse && sent_ == d &&
         !d.topology().device().is_cpu();
}

template <class T, class I>
void Lookup<T, I>::contribute(const kernels::Contributions<T>& hits) const {
  if (!options_.scale_grad_by_freq) return weight_.contribute(gradient(hits));
  using A = Accumulator<T>;
  const auto device = ids().topology().device();
  const auto counts = frequencies(ids());
  const auto divisors = brought(counts, device);
  const auto divided = one_by_one(device, hits, divisors.elements(), nullptr, divisors.data());
  weight_.contribute(gradient<A>({matrix<const A>(divided, divided.shape()[0], divided.shape()[1])}));
}

template <class T, class I>
template <class V>
Gradient<T> Lookup<T, I>::gradient(const kernels::Contributions<V>& hits) const {
  const auto device = ids().topology().device();
  if constexpr (std::is_same_v<T, V>) {
    if (!options_.sparse && !options_.reproducible && sent_ == route_.terms) {
      const Block block(route_.terms);
      auto gradient = DistributedTensor<T>::zeros(route_.terms);
      gradient.modify([&](Tensor<T>& out) {
        kernels::on(device, [&](auto where) {
          const auto table = matrix<T>(out, block.rows, block.columns);
          if constexpr (std::is_same_v<decltype(where), kernels::Cuda> && std::is_same_v<T, Accumulator<T>>) {
            if (unordered()) {
              const auto& local = ids().local();
              return kernels::accumulate_rows_atomic(where, local.data(), local.elements(), block.first_row, padding_,
                                                     hits, table);
            }
          }
          kernels::accumulate_rows(where, plan(where), hits, table);
        });
      });
      return gradient;
    }
  }
  RowSparse<T> gradient;
  if (options_.reproducible) {
    // Where it is kept, so that the order in which lookups add up does not depend on where their ids are.
    gradient = rounded_rows<T>(folded_in_order(hits));
    const auto kept = stored_.distribution().gradient();
    if (moves_by_rows(gradient.distribution, kept)) gradient = redistribute(std::move(gradient), kept);
  } else {
    auto sums =
        kernels::on(device, [&](auto where) { return folded<V>(where, plan(where), hits, route_.terms, device); });
    gradient = redistribute(rounded_rows<T>(std::move(sums)), sent_);
  }
  return options_.sparse ? Gradient<T>(std::move(gradient)) : Gradient<T>(gradient.dense());
}

template <class T, class I>
template <class V>
RowSparse<Accumulator<T>> Lookup<T, I>::folded_in_order(const kernels::Contributions<V>& hits) const {
  using A = Accumulator<T>;
  const Block block(route_.terms);
  const auto device = ids().topology().device();
  const auto on_host = ids().local_on_host();
  const auto local = on_host.span();
  const auto places = positions(ids());
  RowHits<A> mine{.distribution = route_.terms, .rows = {}, .positions = {}, .values = {}};
  std::vector<Index> chosen;
  for (std::size_t i = 0; i < local.size(); ++i) {
    const auto row = static_cast<Index>(local[i]);
    if (row == padding_ || row < block.first_row || row >= block.first_row + block.rows) continue;
    mine.rows.push_back(row);
    mine.positions.push_back(places[i]);
    chosen.push_back(static_cast<Index>(i));
  }
  const auto which = brought(chosen, device);
  mine.values = one_by_one(device, hits, which.elements(), which.data(), nullptr);
  return fold_hits(mine, home_, ids().shape().elements());
}

template <class T, class I>
Variable<T> looked_up(const Lookup<T, I>& lookup) {
  DistributedTensor<T> rows(lookup.result());
  rows.modify([&](Tensor<T>& out) {
    const Index count = lookup.ids().local().elements();
    lookup.rows().read([&](auto where, auto table, Index first_row, const auto* ids) {
      kernels::gather_rows(where, table, first_row, ids, matrix<T>(out, count, table.columns));
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
