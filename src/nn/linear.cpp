#include <tartan/nn/linear.hpp>

#include <algorithm>
#include <optional>

#include <tartan/autograd/tape.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/matmul.hpp"
#include "tensor/rows_of.hpp"

namespace tartan::functional {
namespace {

/// One axis of the table in the header.
struct Cell {
  Placement result;
  Placement bias;
  Placement to_x, to_weight, to_bias;  ///< where the gradients are
};

std::optional<Cell> cell(Placement x, Placement weight, int last) {
  if (x.is_shard() && !x.is_shard(last) && weight.is_replicate()) return Cell{x, Replicate{}, x, Partial{}, Partial{}};
  if (x.is_replicate() && weight.is_replicate()) return Cell{x, x, x, x, x};
  if (x.is_replicate() && weight.is_shard(0)) return Cell{Shard{last}, weight, Partial{}, weight, weight};
  if (x.is_shard(last) && weight.is_shard(1)) return Cell{Partial{}, Replicate{}, x, weight, Replicate{}};
  if (x.is_partial() && weight.is_replicate()) return Cell{x, weight, Replicate{}, Partial{}, Replicate{}};
  if (x.is_root() && weight.is_root()) return Cell{x, x, x, x, x};
  return std::nullopt;
}

struct Placed {
  Distribution result, to_x, to_weight, to_bias;
};

/// How `d` cuts one of its dimensions, as the distribution of a tensor of that dimension alone.
Distribution cut(const Distribution& d, int dim) {
  auto options = d.options();
  Placements placements;
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    const bool cuts = d.placement(axis).is_shard(dim);
    placements.push_back(cuts ? Placement(Shard{0}) : Replicate{});
    if (!cuts) options.block_extents.erase(axis);
  }
  return {d.topology(), Shape{d.shape()[dim]}, std::move(placements), std::move(options)};
}

Placed place(const Distribution& x, const Distribution& weight, const Distribution* bias) {
  const int last = x.shape().dimensions() - 1;
  require(weight.shape().dimensions() == 2 && last >= 0 && x.shape()[last] == weight.shape()[1],
          "linear takes x (..., in) with a weight (out, in), not the shapes {} and {}", x.shape(), weight.shape());
  require(x.topology() == weight.topology(), "linear takes x and a weight on one topology, not {} and {}", x, weight);
  Placements result, to_bias;
  auto to_x = x.placements();
  auto to_weight = weight.placements();
  const auto summed = cut(weight, 0);
  auto needed = summed.placements();
  auto options = x.options();
  for (std::size_t axis = 0; axis < to_x.size(); ++axis) {
    const auto p = x.placements()[axis];
    const auto q = weight.placements()[axis];
    const auto found = cell(p, q, last);
    require(found.has_value(),
            "linear does not take x placed as {} with a weight placed as {}: along axis {}, {} and {} do not meet; "
            "redistribute one",
            x, weight, axis, p, q);
    result.push_back(found->result);
    needed[axis] = found->bias;
    to_x[axis] = found->to_x;
    to_weight[axis] = found->to_weight;
    to_bias.push_back(found->to_bias);
  }
  require(cut(x, last) == cut(weight, 1),
          "linear takes an x and a weight that cut `in` alike, not {} and {}; redistribute one", x, weight);
  const auto expected = summed.with(std::move(needed));
  if (bias != nullptr) {
    require(*bias == expected, "linear takes a bias placed as {} with a weight placed as {}, not {}; redistribute it",
            expected, weight, *bias);
  }

  // The leading dimensions nest as they do in x, the last one as in the weight; and so do given blocks.
  const auto from_weight = [&](int axis) { return weight.placement(axis).is_shard(0); };
  options.nesting = x.nesting();
  auto next = weight.nesting().begin();
  for (int& axis : options.nesting) {
    if (!from_weight(axis)) continue;
    next = std::find_if(next, weight.nesting().end(), from_weight);
    axis = *next++;
  }
  std::erase_if(options.block_extents, [&](const auto& entry) { return x.placement(entry.first).is_shard(last); });
  for (const auto& [axis, extents] : summed.options().block_extents) options.block_extents[axis] = extents;
  return {{x.topology(), x.shape().without(last).appended(weight.shape()[0]), std::move(result), std::move(options)},
          x.with(std::move(to_x)),
          weight.with(std::move(to_weight)),
          expected.with(std::move(to_bias))};
}

/// True where this rank has the first term.
bool has_first_term(const Distribution& d) {
  const int position = d.topology().rank();
  for (int axis = 0; axis < d.grid().axes(); ++axis) {
    if (position >= 0 && d.placement(axis).is_partial() && d.grid().coordinate(position, axis) != 0) return false;
  }
  return true;
}

}  // namespace

template <class T>
Variable<T> linear(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias) {
  const auto placed = place(x.distribution(), weight.distribution(), bias.is_null() ? nullptr : &bias.distribution());
  auto value = rules::computed<T>(placed.result, [&](auto where, Tensor<T>& out) {
    kernels::matmul_transposed_right(where, rows_of(x.value().local()), rows_of(weight.value().local()), rows_of(out));
    if (!bias.is_null() && has_first_term(placed.result)) {
      kernels::add_to_rows(where, bias.value().local().data(), rows_of(out));
    }
  });
  auto result = Variable<T>::result(std::move(value), records(x, weight, bias));
  if (result.requires_gradient()) {
    GradientTape::active()->record(
        "linear", [x, weight, bias, result, placed, input = Saved(x.value()), matrix = Saved(weight.value())] {
          const auto g = result.take_contributions();
          if (!g) return;
          const auto upstream = rows_of(g->local());
          if (x.requires_gradient()) {
            x.contribute(rules::computed<T>(placed.to_x, [&](auto where, Tensor<T>& out) {
              kernels::matmul(where, upstream, rows_of(matrix.get().local()), rows_of(out));
            }));
          }
          if (weight.requires_gradient()) {
            weight.contribute(rules::computed<T>(placed.to_weight, [&](auto where, Tensor<T>& out) {
              kernels::matmul_transposed_left(where, upstream, rows_of(input.get().local()), rows_of(out));
            }));
          }
          if (bias.requires_gradient()) {
            bias.contribute(rules::computed<T>(placed.to_bias, [&](auto where, Tensor<T>& out) {
              kernels::column_sums(where, upstream, out.data());
            }));
          }
        });
  }
  return result;
}

#define INSTANTIATE(T) template Variable<T> linear(const Variable<T>&, const Variable<T>&, const Variable<T>&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
