#include "nn/pooling.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include <tartan/autograd/operations.hpp>
#include <tartan/distributed/leaves.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/bags.hpp"
#include "kernels/dots.hpp"
#include "kernels/pooling.hpp"

namespace tartan::lookup {
namespace {

/// This rank's term of a zero: the sum over Partial axes is +0.0, as on one rank.
template <class T>
T term_of_zero(const Distribution& d) {
  const int position = d.topology().rank();
  for (int axis = 0; position >= 0 && axis < d.grid().axes(); ++axis) {
    if (d.placement(axis).is_partial() && d.grid().coordinate(position, axis) != 0) return additive_identity<T>();
  }
  return T{};
}

/// Where the gradient of the weights of ids is computed without moving anything.
Distribution weights_gradient(const Distribution& ids, const Distribution& weight, const Distribution& result,
                              bool reproducible) {
  auto placements = ids.placements();
  for (int axis = 0; axis < ids.grid().axes(); ++axis) {
    if ((weight.placement(axis).is_shard(1) && !reproducible) || result.placement(axis).is_partial())
      placements[static_cast<std::size_t>(axis)] = Partial{};
  }
  return ids.with(std::move(placements));
}

/// The elements of `x` in their accumulator: itself where they are that.
template <class T>
Tensor<Accumulator<T>> widened(const Tensor<T>& x) {
  if constexpr (std::is_same_v<T, Accumulator<T>>) {
    return x;
  } else {
    Tensor<Accumulator<T>> result(x.shape(), x.device());
    kernels::on(x.device(), [&](auto where) { kernels::widen(where, x.data(), x.elements(), result.data()); });
    return result;
  }
}

/// <looked-up row, row of its bag>, by leaves that are summed over the columns of all ranks.
template <class T, class I, class Where>
void summed_dots(Where where, const Distribution& weight, kernels::Matrix<const T> table, Index first_row, const I* ids,
                 kernels::Matrix<const T> upstream, const Tensor<Index>& bag, Tensor<T>& out) {
  const Index count = bag.elements();
  const Index columns = upstream.columns;
  const auto device = bag.device();
  Tensor<T> rows(Shape{count, columns}, device);
  Tensor<T> beside(Shape{count, columns}, device);
  kernels::gather_rows(where, table, first_row, ids, matrix<T>(rows, count, columns));
  kernels::gather_rows(where, upstream, Index{0}, bag.data(), matrix<T>(beside, count, columns));
  Tensor<Accumulator<T>> leaves(Shape{count, leaves_of(columns)}, device);
  kernels::leaf_dots(where, matrix<const T>(rows, count, columns), matrix<const T>(beside, count, columns),
                     leaves.data());
  sum_leaves(weight, 1, leaves, out);
}

/// One bag lookup between its forward and its backward.
template <class T, class I>
struct Recorded {
  Lookup<T, I> lookup;
  Bags<I> bags;
  BagMode mode;
  Variable<T> weights;  ///< placed as the ids, or none
  Variable<T> result;
  Tensor<Index> sizes;    ///< of the bags, for the mean
  Tensor<Index> winners;  ///< of the largest: for each element of the result, the position of its id, or -1
  /// What the gradient of the weights needs.
  RowsAtHand<T, I> rows;
  std::optional<Saved<T>> table;
  std::optional<Saved<T>> factors;

  void operator()() const {
    const auto upstream = result.take_contributions();
    if (!upstream) return;
    const auto& offsets = bags.local_offsets();
    const Index count = offsets.elements() - 1;
    const auto up = matrix<const T>(upstream->local(), count, lookup.columns());
    Tensor<Index> bag(Shape{bags.ids().local().elements()}, offsets.device());
    kernels::on(bag.device(), [&](auto where) { kernels::name_bags(where, offsets.data(), count, bag.data()); });
    if (lookup.weight().requires_gradient()) mode == BagMode::max ? spread(up, bag) : repeat(up, bag);
    if (weights.requires_gradient()) weights.contribute(dots(up, bag));
  }

 private:
  void repeat(kernels::Matrix<const T> upstream, const Tensor<Index>& bag) const {
    using A = Accumulator<T>;
    if (mode == BagMode::mean) {
      Tensor<A> shares(bag.shape(), bag.device());
      kernels::on(bag.device(), [&](auto where) {
        kernels::share_bags(where, sizes.data(), bag.data(), bag.elements(), shares.data());
      });
      return lookup.contribute({upstream, bag.data(), shares.data()});
    }
    if (!factors) return lookup.contribute({upstream, bag.data()});
    const auto of_ids = widened(factors->get().local());
    lookup.contribute({upstream, bag.data(), of_ids.data()});
  }

  /// Every id is a hit, of -0.0 where it does not win.
  void spread(kernels::Matrix<const T> upstream, const Tensor<Index>& bag) const {
    Tensor<T> hits(Shape{bag.elements(), upstream.columns}, bag.device());
    const auto to = matrix<T>(hits, bag.elements(), upstream.columns);
    kernels::on(bag.device(), [&](auto where) { kernels::spread_to_winners(where, winners.data(), upstream, to); });
    lookup.contribute({matrix<const T>(hits, bag.elements(), upstream.columns)});
  }

  DistributedTensor<T> dots(kernels::Matrix<const T> upstream, const Tensor<Index>& bag) const {
    (void)table->get();  // refuses a table that was modified since, also where this rank has rows of their own
    const auto& weight = lookup.weight().distribution();
    const auto& ids = lookup.ids();
    DistributedTensor<T> gradient(
        weights_gradient(ids.distribution(), weight, result.distribution(), lookup.options().reproducible));
    const T zero = term_of_zero<T>(gradient.distribution());
    gradient.modify([&](Tensor<T>& out) {
      rows.read([&](auto where, auto at_hand, Index first_row, const auto* names) {
        if (lookup.options().reproducible) {
          summed_dots(where, weight, at_hand, first_row, names, upstream, bag, out);
        } else {
          kernels::hit_dots(where, at_hand, first_row, names, out.elements(), upstream, bag.data(), out.data());
        }
        kernels::settle_hits(where, ids.local().data(), names, first_row, at_hand.rows, lookup.padding(), zero,
                             out.elements(), out.data());
      });
    });
    return gradient;
  }
};

}  // namespace

template <class T>
void Pooling<T>::require_possible(const Shape& ids, bool scale_grad_by_freq) const {
  require(mode != BagMode::max || !scale_grad_by_freq,
          "scale_grad_by_freq divides contributions to sums and means, not to the largest of a bag");
  if (weights.is_null()) return;
  require(mode == BagMode::sum, "per_sample_weights are for bags in mode sum");
  require(weights.shape() == ids, "per_sample_weights of the shape {} were given for ids of the shape {}",
          weights.shape(), ids);
}

template <class T, class I>
Variable<T> pooled(const Lookup<T, I>& lookup, const Bags<I>& bags, const Pooling<T>& pooling) {
  const auto& table = lookup.weight();
  const auto weights =
      pooling.weights.is_null() ? pooling.weights : redistribute(pooling.weights, bags.ids().distribution());
  if (lookup.options().reproducible && weights.requires_gradient()) require_leaves(table.distribution(), 1);

  DistributedTensor<T> value(lookup.result_for(bags.distribution()));
  const auto& offsets = bags.local_offsets();
  const Index rows_here = offsets.elements() - 1;
  const bool largest = pooling.mode == BagMode::max;
  Tensor<Index> sizes(Shape{largest ? 0 : rows_here}, offsets.device());
  Tensor<Index> winners(largest ? value.local().shape() : Shape{0}, offsets.device());
  auto rows = lookup.rows();
  value.modify([&](Tensor<T>& out) {
    rows.read([&](auto where, auto at_hand, Index first_row, const auto* names) {
      const auto to = matrix<T>(out, rows_here, at_hand.columns);
      if (largest) {
        kernels::max_bags(where, at_hand, first_row, names, offsets.data(), rows.padding, to, winners.data());
        return;
      }
      kernels::size_bags(where, lookup.ids().local().data(), offsets.data(), rows_here, lookup.padding(), sizes.data());
      const T* factors = weights.is_null() ? nullptr : weights.value().local().data();
      const Index* divisors = pooling.mode == BagMode::mean ? sizes.data() : nullptr;
      kernels::sum_bags(where, at_hand, first_row, names, offsets.data(), factors, divisors, rows.padding, to);
      kernels::fill_empty_bags(where, sizes.data(), term_of_zero<T>(value.distribution()), to);
    });
  });
  auto result = Variable<T>::result(std::move(value), records(table, weights));
  if (!result.requires_gradient()) return result;
  Recorded<T, I> rule{.lookup = lookup,
                      .bags = bags,
                      .mode = pooling.mode,
                      .weights = weights,
                      .result = result,
                      .sizes = std::move(sizes),
                      .winners = std::move(winners),
                      .rows = {},
                      .table = {},
                      .factors = {}};
  if (!weights.is_null()) rule.factors = Saved<T>(weights.value());
  if (weights.requires_gradient()) {
    rule.rows = std::move(rows);
    rule.table = Saved<T>(lookup.stored().value());
  }
  GradientTape::active()->record("a lookup of bags", std::move(rule));
  return result;
}

#define INSTANTIATE(T) template struct Pooling<T>;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

#define INSTANTIATE(T, I) template Variable<T> pooled(const Lookup<T, I>&, const Bags<I>&, const Pooling<T>&);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::lookup
