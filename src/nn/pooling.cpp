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

/// The bag of each of this rank's ids.
std::vector<Index> bag_of_each(std::span<const Index> offsets) {
  std::vector<Index> result;
  for (std::size_t b = 0; b + 1 < offsets.size(); ++b)
    result.insert(result.end(), static_cast<std::size_t>(offsets[b + 1] - offsets[b]), static_cast<Index>(b));
  return result;
}

/// How many ids of each bag are not padding.
template <class I>
std::vector<Index> counts_of(std::span<const Index> offsets, std::span<const I> ids, Index padding) {
  std::vector<Index> result;
  for (std::size_t b = 0; b + 1 < offsets.size(); ++b) {
    const auto bag =
        ids.subspan(static_cast<std::size_t>(offsets[b]), static_cast<std::size_t>(offsets[b + 1] - offsets[b]));
    result.push_back(std::ssize(bag) - (padding < 0 ? 0 : std::ranges::count(bag, static_cast<I>(padding))));
  }
  return result;
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

/// <looked-up row, row of its bag>, by leaves that are summed over the columns of all ranks.
template <class T, class I>
std::vector<T> summed_dots(const Distribution& weight, kernels::Matrix<const T> table, Index first_row, const I* ids,
                           kernels::Matrix<const T> upstream, const std::vector<Index>& bag) {
  const auto count = static_cast<Index>(bag.size());
  const Index columns = upstream.columns;
  Tensor<T> rows(Shape{count, columns});
  Tensor<T> beside(Shape{count, columns});
  kernels::gather_rows(cpu, table, first_row, ids, matrix<T>(rows, count, columns));
  kernels::gather_rows(cpu, upstream, Index{0}, bag.data(), matrix<T>(beside, count, columns));
  std::vector<T> leaves(bag.size() * static_cast<std::size_t>(leaves_of(columns)));
  kernels::leaf_dots(cpu, matrix<const T>(rows, count, columns), matrix<const T>(beside, count, columns),
                     leaves.data());
  return sum_leaves(weight, 1, std::span<const T>(leaves), count);
}

/// One bag lookup between its forward and its backward.
template <class T, class I>
struct Recorded {
  Lookup<T, I> lookup;
  Bags<I> bags;
  BagMode mode;
  Variable<T> weights;  ///< placed as the ids, or none
  Variable<T> result;
  std::vector<Index> counts;   ///< of the mean
  std::vector<Index> winners;  ///< of the largest: for each element of the result, the position of its id, or -1
  /// What the gradient of the weights needs.
  RowsAtHand<T, I> rows;
  std::optional<Saved<T>> table;
  std::optional<Saved<T>> factors;

  void operator()() const {
    const auto upstream = result.take_contributions();
    if (!upstream) return;
    const auto bag = bag_of_each(bags.offsets());
    const Index columns = lookup.columns();
    const auto up = matrix<const T>(upstream->local(), std::ssize(bags.offsets()) - 1, columns);
    if (lookup.weight().requires_gradient()) mode == BagMode::max ? spread(up, bag) : repeat(up, bag);
    if (weights.requires_gradient()) weights.contribute(dots(up, bag));
  }

 private:
  void repeat(kernels::Matrix<const T> upstream, const std::vector<Index>& bag) const {
    std::vector<T> shares;
    if (mode == BagMode::mean) {
      for (const Index b : bag) shares.push_back(T{1} / static_cast<T>(counts[static_cast<std::size_t>(b)]));
    }
    const T* factor = mode == BagMode::mean ? shares.data() : factors ? factors->get().local().data() : nullptr;
    lookup.contribute({upstream, bag.data(), factor});
  }

  /// Every id is a hit, of -0.0 where it does not win.
  void spread(kernels::Matrix<const T> upstream, const std::vector<Index>& bag) const {
    const auto count = static_cast<Index>(bag.size());
    Tensor<T> hits(Shape{count, upstream.columns}, additive_identity<T>());
    for (Index i = 0; i < static_cast<Index>(winners.size()); ++i) {
      const Index winner = winners[static_cast<std::size_t>(i)];
      if (winner >= 0) hits[winner * upstream.columns + i % upstream.columns] = upstream.data[i];
    }
    lookup.contribute({matrix<const T>(hits, count, upstream.columns)});
  }

  DistributedTensor<T> dots(kernels::Matrix<const T> upstream, const std::vector<Index>& bag) const {
    (void)table->get();  // refuses a table that was modified since, also where this rank has rows of their own
    const auto& weight = lookup.weight().distribution();
    const auto& ids = lookup.ids();
    DistributedTensor<T> gradient(
        weights_gradient(ids.distribution(), weight, result.distribution(), lookup.options().reproducible));
    const T zero = term_of_zero<T>(gradient.distribution());
    gradient.modify([&](Tensor<T>& out) {
      rows.read([&](auto at_hand, Index first_row, const auto* names) {
        if (lookup.options().reproducible) {
          std::ranges::copy(summed_dots(weight, at_hand, first_row, names, upstream, bag), out.data());
        } else {
          kernels::hit_dots(cpu, at_hand, first_row, names, out.elements(), upstream, bag.data(), out.data());
        }
        for (Index i = 0; i < out.elements(); ++i) {
          const Index row = static_cast<Index>(names[i]) - first_row;
          if (static_cast<Index>(ids.local()[i]) == lookup.padding()) {
            out[i] = zero;
          } else if (row < 0 || row >= at_hand.rows) {
            out[i] = additive_identity<T>();
          }
        }
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
  const auto offsets = bags.offsets();
  const Index rows_here = std::ssize(offsets) - 1;
  auto counts = counts_of(offsets, lookup.ids().local().span(), lookup.padding());
  std::vector<Index> winners;
  auto rows = lookup.rows();
  value.modify([&](Tensor<T>& out) {
    rows.read([&](auto at_hand, Index first_row, const auto* ids) {
      const auto to = matrix<T>(out, rows_here, at_hand.columns);
      if (pooling.mode == BagMode::max) {
        winners.resize(static_cast<std::size_t>(out.elements()));
        kernels::max_bags(cpu, at_hand, first_row, ids, offsets.data(), rows.padding, to, winners.data());
        return;
      }
      const T* factors = weights.is_null() ? nullptr : weights.value().local().data();
      const Index* divisors = pooling.mode == BagMode::mean ? counts.data() : nullptr;
      kernels::sum_bags(cpu, at_hand, first_row, ids, offsets.data(), factors, divisors, rows.padding, to);
      const T zero = term_of_zero<T>(value.distribution());
      for (Index b = 0; b < rows_here; ++b) {
        const Index count = counts[static_cast<std::size_t>(b)];
        const std::span row(to.row(b), static_cast<std::size_t>(to.columns));
        if (count == 0) std::ranges::fill(row, zero);
      }
    });
  });
  auto result = Variable<T>::result(std::move(value), records(table, weights));
  if (!result.requires_gradient()) return result;
  Recorded<T, I> rule{.lookup = lookup,
                      .bags = bags,
                      .mode = pooling.mode,
                      .weights = weights,
                      .result = result,
                      .counts = std::move(counts),
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
