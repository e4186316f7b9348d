#include <tartan/distributed/row_exchange.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "distributed/folded.hpp"
#include "distributed/owners.hpp"
#include "kernels/on.hpp"
#include "tensor/brought.hpp"

namespace tartan {
namespace {

template <class T, class U>
kernels::Matrix<T> matrix(U& local) {
  return {local.data(), local.shape()[0], local.shape()[1], local.shape()[1]};
}

/// Row numbers (n, 1) on the host.
Tensor<Index> column(std::span<const Index> rows) {
  return brought(rows, Device{}).reshaped(Shape{std::ssize(rows), 1});
}

/// The named rows, which may repeat, folded in the order given, where `rows` lie. `names` lie on the host.
template <class T>
RowSparse<T> merged(const Distribution& to, const Tensor<Index>& names, const Tensor<T>& rows) {
  const auto owned = to.box(to.topology().rank())[0];
  const auto device = rows.device();
  const auto here = names.to(device);
  return kernels::on(device, [&](auto where) {
    const auto plan = kernels::plan_rows(where, here.data(), here.elements(), owned.begin, owned.extent(), Index{-1});
    return folded<T>(where, plan, matrix<const T>(rows), to, device);
  });
}

}  // namespace

template <class T>
Tensor<T> pull_rows(const DistributedTensor<T>& table, int axis, std::span<const Index> wanted, Index most) {
  const auto& d = table.distribution();
  require(d.shape().dimensions() == 2 && (d.placement(axis).is_root() || d.placement(axis).is_shard(0)),
          "rows are pulled along axis {} from a (V, D) table that is Root or Shard(0) there, not from {}", axis, d);
  const auto device = d.topology().device();
  if (!d.topology().active()) return Tensor<T>(Shape{0, 0}, device);
  const Owners owners(d, axis);
  const auto asked = owners.counts(wanted);
  const auto given = owners.answered(asked);
  const auto names = owners.exchange(column(wanted), asked, given, most).to(device);

  // Off coordinate 0 of a Root axis a rank has no block, but takes the columns that its group owns.
  const Index columns = d.block(d.topology().rank())[1].extent();
  const auto box = table.box();
  Tensor<T> rows(Shape{names.elements(), columns}, device);
  kernels::on(device, [&](auto where) {
    const kernels::Matrix<const T> mine{table.local().data(), box[0].extent(), columns, columns};
    kernels::gather_rows(where, mine, box[0].begin, names.data(), matrix<T>(rows));
  });
  return owners.exchange(rows, given, asked, most);
}

template <class T>
RowSparse<T> sum_rows(const RowSparse<T>& x, int axis, const Distribution& to, Index most) {
  const auto target = to.placement(axis);
  require(x.distribution.placement(axis).is_partial() && !target.is_partial() && !target.is_shard(1) &&
              to.with(axis, Partial{}) == x.distribution,
          "rows are summed along axis {} from Partial to Root, Replicate or Shard(0), not from {} to {}", axis,
          x.distribution, to);
  if (!to.topology().active())
    return {.distribution = to, .rows = {}, .values = Tensor<T>(Shape{0, 0}, to.topology().device())};
  if (target.is_replicate()) {
    const auto& group = to.topology().axis(axis);
    const auto mine = static_cast<Index>(x.rows.size());
    std::vector<Index> counts(static_cast<std::size_t>(group.size()));
    const std::vector<Index> one(counts.size(), 1);
    group.all_gather(std::span<const Index>(&mine, 1), std::span<Index>(counts), one);
    return merged(to, gather_pieces(to.topology(), axis, column(x.rows), counts),
                  gather_pieces(to.topology(), axis, x.values, counts));
  }
  const Owners owners(to, axis);
  const auto sent = owners.counts(x.rows);
  const auto received = owners.answered(sent);
  const auto names = owners.exchange(column(x.rows), sent, received, most);
  return merged(to, names, owners.exchange(x.values, sent, received, most));
}

template <class T>
Tensor<T> gather_pieces(const CartesianTopology& topology, int axis, const Tensor<T>& mine,
                        std::span<const Index> counts) {
  if (!topology.active()) return mine;
  const Index columns = mine.shape()[1];
  const std::vector<Index> rows(counts.begin(), counts.end());
  Tensor<T> all(Shape{total(rows), columns}, mine.device());
  Carrier{topology.axis(axis), mine.device()}.all_gather<T>(elements_of(mine), elements_of(all), times(rows, columns));
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
