#include <tartan/distributed/row_exchange.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "distributed/owners.hpp"
#include "kernels/rows.hpp"

namespace tartan {
namespace {

constexpr kernels::Cpu cpu;

template <class T, class U>
kernels::Matrix<T> matrix(U* data, Index rows, Index columns) {
  return {data, rows, columns, columns};
}

/// The named rows, which may repeat, folded in the order given.
template <class T>
RowSparse<T> merged(const Distribution& to, const std::vector<Index>& names, const std::vector<T>& rows,
                    Index columns) {
  const auto owned = to.box(to.topology().rank())[0];
  const auto hits = static_cast<Index>(names.size());
  const auto plan = kernels::plan_rows(cpu, names.data(), hits, owned.begin, owned.extent(), Index{-1});
  const auto distinct = static_cast<Index>(plan.rows.size());
  RowSparse<T> result{.distribution = to, .rows = plan.rows, .values = Tensor<T>(Shape{distinct, columns})};
  for (Index& row : result.rows) row += owned.begin;
  kernels::fold_rows(cpu, plan, matrix<const T>(rows.data(), hits, columns),
                     matrix<T>(result.values.data(), distinct, columns));
  return result;
}

}  // namespace

template <class T>
Tensor<T> pull_rows(const DistributedTensor<T>& table, int axis, std::span<const Index> wanted, Index most) {
  const auto& d = table.distribution();
  require(d.shape().dimensions() == 2 && (d.placement(axis).is_root() || d.placement(axis).is_shard(0)),
          "rows are pulled along axis {} from a (V, D) table that is Root or Shard(0) there, not from {}", axis, d);
  if (!d.topology().active()) return Tensor<T>(Shape{0, 0});
  const Owners owners(d, axis);
  const auto asked = owners.counts(wanted);
  const auto given = owners.answered(asked);
  const auto names = owners.exchange(wanted, asked, given, 1, most);

  // Off coordinate 0 of a Root axis a rank has no block, but takes the columns that its group owns.
  const Index columns = d.block(d.topology().rank())[1].extent();
  const auto box = table.box();
  std::vector<T> rows(names.size() * static_cast<std::size_t>(columns));
  kernels::gather_rows(cpu, matrix<const T>(table.local().data(), box[0].extent(), columns), box[0].begin, names.data(),
                       matrix<T>(rows.data(), static_cast<Index>(names.size()), columns));
  Tensor<T> result(Shape{static_cast<Index>(wanted.size()), columns});
  owners.communicator.all_to_all(std::span<const T>(rows), times(given, columns), result.span(), times(asked, columns),
                                 most * columns);
  return result;
}

template <class T>
RowSparse<T> sum_rows(const RowSparse<T>& x, int axis, const Distribution& to, Index most) {
  const auto target = to.placement(axis);
  require(x.distribution.placement(axis).is_partial() && !target.is_partial() && !target.is_shard(1) &&
              to.with(axis, Partial{}) == x.distribution,
          "rows are summed along axis {} from Partial to Root, Replicate or Shard(0), not from {} to {}", axis,
          x.distribution, to);
  if (!to.topology().active()) return {.distribution = to, .rows = {}, .values = Tensor<T>(Shape{0, 0})};
  const Index columns = x.values.shape()[1];
  const auto values = x.values.span();
  if (target.is_replicate()) {
    const auto& group = to.topology().axis(axis);
    const auto mine = static_cast<Index>(x.rows.size());
    std::vector<Index> counts(static_cast<std::size_t>(group.size()));
    const std::vector<Index> one(counts.size(), 1);
    group.all_gather(std::span<const Index>(&mine, 1), std::span<Index>(counts), one);
    std::vector<Index> names(static_cast<std::size_t>(total(counts)));
    std::vector<T> rows(names.size() * static_cast<std::size_t>(columns));
    group.all_gather(std::span<const Index>(x.rows), std::span<Index>(names), counts);
    group.all_gather(values, std::span<T>(rows), times(counts, columns));
    return merged(to, names, rows, columns);
  }
  const Owners owners(to, axis);
  const auto sent = owners.counts(x.rows);
  const auto received = owners.answered(sent);
  const auto names = owners.exchange(std::span<const Index>(x.rows), sent, received, 1, most);
  const auto rows = owners.exchange(values, sent, received, columns, most);
  return merged(to, names, rows, columns);
}

template <class T>
Tensor<T> gather_pieces(const CartesianTopology& topology, int axis, const Tensor<T>& mine,
                        std::span<const Index> counts) {
  if (!topology.active()) return mine;
  const Index columns = mine.shape()[1];
  const std::vector<Index> rows(counts.begin(), counts.end());
  Tensor<T> all(Shape{total(rows), columns});
  topology.axis(axis).all_gather(mine.span(), all.span(), times(rows, columns));
  return all;
}

#define INSTANTIATE(T)                                                                           \
  template Tensor<T> pull_rows(const DistributedTensor<T>&, int, std::span<const Index>, Index); \
  template RowSparse<T> sum_rows(const RowSparse<T>&, int, const Distribution&, Index);          \
  template Tensor<T> gather_pieces(const CartesianTopology&, int, const Tensor<T>&, std::span<const Index>);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE
template Tensor<Index> gather_pieces(const CartesianTopology&, int, const Tensor<Index>&, std::span<const Index>);

}  // namespace tartan
