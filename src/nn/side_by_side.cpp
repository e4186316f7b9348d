#include "nn/side_by_side.hpp"

#include <algorithm>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/boxes.hpp"
#include "kernels/tables.hpp"
#include "nn/row_norms.hpp"

namespace tartan::lookup {
namespace {

/// The extents of the blocks of all columns along an axis that splits those of each part.
std::vector<Index> block_extents(const std::vector<Distribution>& parts, int axis) {
  const int last = parts.front().shape().dimensions() - 1;
  std::vector<Index> extents;
  Index next = 0;
  for (int coordinate = 0; coordinate < parts.front().grid().extent(axis); ++coordinate) {
    const Index begin = next;
    Index first_of_part = 0;
    for (const auto& part : parts) {
      const Index columns = part.shape()[last];
      const auto blocks = part.blocks(axis).value_or(Decomposition::balanced(columns, part.grid().extent(axis)));
      const auto block = blocks.block(coordinate);
      require(block.empty() || first_of_part + block.begin == next,
              "tables side by side need blocks of columns that follow each other from rank to rank, as those of "
              "blocks_side_by_side() do; here, of {}, coordinate {} along axis {} begins anew",
              part, coordinate, axis);
      next += block.extent();
      first_of_part += columns;
    }
    extents.push_back(next - begin);
  }
  return extents;
}

}  // namespace

template <class I>
std::vector<DistributedTensor<I>> columns_of(const DistributedTensor<I>& ids) {
  const auto& d = ids.distribution();
  const int last = d.shape().dimensions() - 1;
  require(last >= 0 && d.shape()[last] > 0, "a lookup in many tables takes ids (..., F), one for each table, not {}",
          d);
  require(std::ranges::none_of(d.placements(), [last](Placement p) { return p.is_shard(last); }),
          "a lookup in many tables takes ids whose last dimension is whole on every rank, not {}", d);
  const Distribution column(ids.topology(), d.shape().without(last), d.placements(), d.options());
  const Shape shape = column.local_shape(ids.topology().rank());
  const Box all(Shape{shape.elements(), d.shape()[last]});
  std::vector<DistributedTensor<I>> columns;
  for (Index table = 0; table < d.shape()[last]; ++table) {
    const Box mine(std::vector<Interval>{all[0], {table, table + 1}});
    columns.emplace_back(column);
    columns.back().modify([&](Tensor<I>& local) {
      kernels::on(local.device(),
                  [&](auto where) { kernels::copy_box(where, ids.local().data(), all, local.data(), mine, mine); });
    });
  }
  return columns;
}

template <class T, class I>
void prepare(const DistributedTensor<I>& ids, const std::vector<DistributedTensor<I>>& columns,
             const std::vector<Variable<T>>& weights, const functional::MultiEmbeddingOptions& options) {
  const auto tables = weights.size();
  require(options.padding_idx.empty() || options.padding_idx.size() == tables,
          "a lookup in {} tables takes none or {} of padding_idx, not {}", tables, tables, options.padding_idx.size());
  const RowNorms norms{options.max_norm.value_or(1), options.norm_type, options.reproducible};
  std::vector<Index> rows;
  for (std::size_t f = 0; f < tables; ++f) {
    rows.push_back(weights[f].shape()[0]);
    const auto table = of_table(options, f);
    (void)padding_row(table.padding_idx, rows[f]);
    require_order(table);
    if (options.max_norm) require_norms(weights[f], norms);
  }
  check_ids(ids, rows);
  for (std::size_t f = 0; f < tables; ++f) columns[f].set_checked(rows[f]);
  if (options.max_norm) renormalize(columns_of(gathered(ids)), weights, norms);
}

functional::EmbeddingOptions of_table(const functional::MultiEmbeddingOptions& options, std::size_t table) {
  return {.padding_idx = options.padding_idx.empty() ? std::nullopt : options.padding_idx[table],
          .scale_grad_by_freq = options.scale_grad_by_freq,
          .sparse = options.sparse,
          .reproducible = options.reproducible,
          .atomics = options.atomics};
}

Distribution side_by_side(const std::vector<Distribution>& parts) {
  const auto& first = parts.front();
  const int last = first.shape().dimensions() - 1;
  Index columns = 0;
  for (const auto& part : parts) {
    require(part.placements() == first.placements(),
            "tables side by side need to be placed alike: their rows are {} and {}", first, part);
    columns += part.shape()[last];
  }
  const auto axes = first.axes_of(last);
  require(axes.size() <= 1, "tables side by side are split along one axis of columns at most: their rows are {}",
          first);
  auto options = first.options();
  if (!axes.empty()) options.block_extents[axes.front()] = block_extents(parts, axes.front());
  return {first.topology(), first.shape().without(last).appended(columns), first.placements(), std::move(options)};
}

template <class T, class I>
Variable<T> looked_up(const DistributedTensor<I>& ids, const std::vector<Lookup<T, I>>& lookups) {
  std::vector<Distribution> parts;
  for (const auto& lookup : lookups) parts.push_back(lookup.result());
  DistributedTensor<T> rows(side_by_side(parts));
  const Index count = lookups.front().ids().local().elements();
  rows.modify([&](Tensor<T>& out) {
    const Index tables = std::ssize(lookups);
    std::vector<RowsAtHand<T, I>> at_hand;
    for (const auto& lookup : lookups) at_hand.push_back(lookup.rows());
    std::vector<kernels::TableColumns<T>> slots;
    Index columns = 0;
    for (const auto& part : at_hand) {
      slots.push_back({part.table(), part.first_row, columns});
      columns += slots.back().table.columns;
    }
    const auto to = matrix<T>(out, count, columns);
    const auto gather = [&](const auto& names) {
      kernels::on(out.device(), [&](auto where) { kernels::gather_tables<T>(where, slots, names.data(), to); });
    };
    if (std::ranges::none_of(at_hand, [](const auto& part) { return part.renamed.has_value(); }))
      return gather(ids.local());
    Tensor<Index> names(Shape{count, tables});
    for (Index f = 0; f < tables; ++f) {
      at_hand[static_cast<std::size_t>(f)].read_numbers([&](const auto& numbers) {
        const auto column = numbers.local_on_host();
        for (Index i = 0; i < count; ++i) names[i * tables + f] = static_cast<Index>(column[i]);
      });
    }
    gather(names.to(out.device()));
  });
  const bool recorded = std::ranges::any_of(lookups, [](const auto& lookup) { return records(lookup.weight()); });
  auto result = Variable<T>::result(std::move(rows), recorded);
  if (recorded) {
    GradientTape::active()->record("a lookup in many tables", [lookups, result, count] {
      const auto upstream = result.take_contributions();
      if (!upstream) return;
      Index stride = 0;
      for (const auto& lookup : lookups) stride += lookup.columns();
      const T* part = upstream->local().data();
      for (const auto& lookup : lookups) {
        if (lookup.weight().requires_gradient())
          lookup.contribute({kernels::Matrix<const T>{part, count, lookup.columns(), stride}});
        part += lookup.columns();
      }
    });
  }
  return result;
}

#define INSTANTIATE(I) template std::vector<DistributedTensor<I>> columns_of(const DistributedTensor<I>&);
TARTAN_FOR_EACH_ID_TYPE(INSTANTIATE)
#undef INSTANTIATE

#define INSTANTIATE(T, I)                                                                           \
  template void prepare(const DistributedTensor<I>&, const std::vector<DistributedTensor<I>>&,      \
                        const std::vector<Variable<T>>&, const functional::MultiEmbeddingOptions&); \
  template Variable<T> looked_up(const DistributedTensor<I>&, const std::vector<Lookup<T, I>>&);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::lookup
