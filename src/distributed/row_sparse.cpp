#include <tartan/distributed/row_exchange.hpp>

#include <algorithm>
#include <iterator>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/on.hpp"
#include "kernels/row_copies.hpp"
#include "tensor/brought.hpp"

namespace tartan {

namespace {

template <class T, class U>
kernels::Matrix<T> matrix(U& values) {
  const Index columns = values.shape().dimensions() == 2 ? values.shape()[1] : 0;
  return {values.data(), values.shape()[0], columns, columns};
}

}  // namespace

template <class T>
DistributedTensor<T> RowSparse<T>::dense() const {
  auto result = DistributedTensor<T>::zeros(distribution);
  if (result.local().elements() == 0) return result;
  auto in_block = rows;
  for (Index& row : in_block) row -= result.box()[0].begin;
  const auto names = brought(in_block, values.device());
  result.modify([&](Tensor<T>& out) {
    kernels::on(out.device(), [&](auto where) {
      kernels::put_rows(where, names.data(), names.elements(), matrix<const T>(values), matrix<T>(out));
    });
  });
  return result;
}

template <class T>
RowSparse<T> add(const RowSparse<T>& a, const RowSparse<T>& b) {
  require(a.distribution == b.distribution, "row-sparse tensors placed as {} and {} cannot be added", a.distribution,
          b.distribution);
  RowSparse<T> result{.distribution = a.distribution, .rows = {}, .values = {}};
  std::ranges::set_union(a.rows, b.rows, std::back_inserter(result.rows));
  const auto device = a.values.device();
  const Index columns = matrix<const T>(a.values).columns;
  result.values = Tensor<T>(Shape{std::ssize(result.rows), columns}, device);
  const auto which = [&](const std::vector<Index>& rows) {
    std::vector<Index> numbers;
    auto next = rows.begin();
    for (const Index row : result.rows) {
      const bool has = next != rows.end() && *next == row;
      numbers.push_back(has ? next - rows.begin() : -1);
      next += has ? 1 : 0;
    }
    return numbers;
  };
  const auto in_a = which(a.rows);
  const auto in_b = which(b.rows);
  const auto of_a = brought(in_a, device);
  const auto of_b = brought(in_b, device);
  kernels::on(device, [&](auto where) {
    kernels::merge_rows(where, of_a.data(), of_b.data(), matrix<const T>(a.values), matrix<const T>(b.values),
                        matrix<T>(result.values));
  });
  return result;
}

bool moves_by_rows(const Distribution& from, const Distribution& to) {
  if (to.shape().dimensions() != 2 || !(from.topology() == to.topology())) return false;
  for (int axis = 0; axis < to.grid().axes(); ++axis) {
    const bool changes = to.grid().extent(axis) > 1 && from.placement(axis) != to.placement(axis);
    if (changes && (from.placement(axis).is_shard(1) || to.placement(axis).is_shard(1))) return false;
  }
  return to.with(from.placements()) == from;
}

namespace {

/// The placements by way of which a row-sparse tensor moves: Partial along the axes that are to be summed. An axis that
/// shards rows inside of one that comes or goes is cut anew.
Placements with_terms(const Distribution& from, const Distribution& to) {
  auto placements = from.placements();
  bool anew = false;
  for (const int axis : to.nesting()) {
    auto& placement = placements[static_cast<std::size_t>(axis)];
    const auto target = to.placement(axis);
    if (to.grid().extent(axis) == 1) continue;
    const bool changes = placement != target || (anew && target.is_shard(0));
    const bool local = placement.is_replicate() && !target.is_partial();
    anew = anew || (changes && (placement.is_shard(0) || target.is_shard(0)));
    if (changes && !local) placement = Partial{};
  }
  return placements;
}

/// Forgets the rows outside of what this rank has under `to`, which every rank holds the elements for.
template <class T>
RowSparse<T> cut(const RowSparse<T>& x, const Distribution& to) {
  const int position = to.topology().rank();
  const auto held = to.box(position)[0];
  const auto first = std::ranges::lower_bound(x.rows, held.begin) - x.rows.begin();
  const auto last = std::max(first, std::ranges::lower_bound(x.rows, held.end) - x.rows.begin());
  const Index columns = position < 0 ? 0 : to.block(position)[1].extent();
  T* const begin = const_cast<T*>(x.values.data()) + first * columns;
  return {.distribution = to,
          .rows = {x.rows.begin() + first, x.rows.begin() + last},
          .values = Tensor<T>::view(Shape{last - first, columns}, begin, x.values.device()).clone()};
}

}  // namespace

template <class T>
RowSparse<T> redistribute(RowSparse<T> x, const Distribution& to) {
  require(moves_by_rows(x.distribution, to), "a row-sparse tensor placed as {} does not move by rows to {}",
          x.distribution, to);
  const int position = to.topology().rank();
  const auto from = x.distribution;
  auto placements = with_terms(from, to);
  // A copy that becomes a term is one on coordinate 0 only.
  for (int axis = 0; axis < to.grid().axes() && position >= 0; ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    const bool copy = from.placement(axis).is_replicate() && placements[a].is_partial();
    if (copy && to.grid().coordinate(position, axis) != 0) x.rows.clear();
  }
  x = cut(x, to.with(placements));
  for (const int axis : to.nesting()) {
    const auto a = static_cast<std::size_t>(axis);
    if (to.grid().extent(axis) == 1 || placements[a] == to.placement(axis)) continue;
    const bool terms = placements[a].is_partial();
    placements[a] = to.placement(axis);
    const auto next = to.with(placements);
    x = terms ? sum_rows(x, axis, next, to.shape()[0]) : cut(x, next);
  }
  x.distribution = to;
  return x;
}

#define INSTANTIATE(T)                                                 \
  template struct RowSparse<T>;                                        \
  template RowSparse<T> add(const RowSparse<T>&, const RowSparse<T>&); \
  template RowSparse<T> redistribute(RowSparse<T>, const Distribution&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
