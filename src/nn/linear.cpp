#include <tartan/nn/linear.hpp>

#include <algorithm>
#include <optional>
#include <utility>

#include <tartan/autograd/tape.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/matmul.hpp"

namespace tartan::functional {
namespace {

/// One axis of the table in the header.
struct Cell {
  Placement result;
  Placement bias;
  Placement to_x, to_weight, to_bias;  ///< where the gradients are
};

/// `row` and `column` number the last dimensions of x and of the weight.
std::optional<Cell> cell(Placement x, Placement weight, int row, int column) {
  const bool by_rows = weight.is_shard() && !weight.is_shard(column);
  if (x.is_shard() && !x.is_shard(row) && weight.is_replicate()) return Cell{x, Replicate{}, x, Partial{}, Partial{}};
  if (x.is_replicate() && weight.is_replicate()) return Cell{x, x, x, x, x};
  if (x.is_replicate() && by_rows) return Cell{Shard{row + weight.dim()}, weight, Partial{}, weight, weight};
  if (x.is_shard(row) && weight.is_shard(column)) return Cell{Partial{}, Replicate{}, x, weight, Replicate{}};
  if (x.is_partial() && weight.is_replicate()) return Cell{x, weight, Replicate{}, Partial{}, Replicate{}};
  if (x.is_root() && weight.is_root()) return Cell{x, x, x, x, x};
  return std::nullopt;
}

/// Where x is taken with such a weight.
Placement wanted(Placement x, Placement weight, int row, int column) {
  if (cell(x, weight, row, column)) return x;
  if (weight.is_shard(column)) return Shard{row};
  return weight.is_root() ? weight : Replicate{};
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

void require_shapes(const Shape& x, const Shape& weight, const Distribution* bias) {
  const int row = x.dimensions() - 1;
  const int column = weight.dimensions() - 1;
  require(column >= 1 && row >= 0 && x[row] == weight[column],
          "linear takes x (..., in) with a weight (out, in), not the shapes {} and {}", x, weight);
  require(bias == nullptr || bias->shape() == weight.without(column),
          "linear takes a bias of the shape {} with a weight of the shape {}, not one of the shape {}",
          weight.without(column), weight, bias->shape());
}

Placed place(const Distribution& x, const Distribution& weight, const Distribution* bias) {
  require_shapes(x.shape(), weight.shape(), bias);
  require(x.topology() == weight.topology(), "linear takes x and a weight on one topology, not {} and {}", x, weight);
  const int row = x.shape().dimensions() - 1;
  const int column = weight.shape().dimensions() - 1;
  const auto rows_alone = [&](Placements of_bias) {
    auto options = weight.options();
    std::erase_if(options.block_extents, [&](const auto& e) { return weight.placement(e.first).is_shard(column); });
    return Distribution(weight.topology(), weight.shape().without(column), std::move(of_bias), std::move(options));
  };
  Placements result, needed, to_x, to_weight, to_bias;
  for (int axis = 0; axis < x.grid().axes(); ++axis) {
    const auto p = x.placement(axis);
    const auto q = weight.placement(axis);
    const auto found = cell(p, q, row, column);
    if (!found) {
      auto instead = x.placements();
      for (std::size_t a = 0; a < instead.size(); ++a) {
        instead[a] = wanted(instead[a], weight.placements()[a], row, column);
      }
      require(!q.is_partial(),
              "linear does not take x placed as {} with a weight placed as {}: along axis {}, the weight is terms of a "
              "sum; redistribute it first",
              x, weight, axis);
      fail(
          "linear does not take x placed as {} with a weight placed as {}: along axis {}, {} and {} do not meet, but "
          "with redistribute(x, {}) they do",
          x, weight, axis, p, q, to_string(instead));
    }
    result.push_back(found->result);
    needed.push_back(found->bias);
    to_x.push_back(found->to_x);
    to_weight.push_back(found->to_weight);
    to_bias.push_back(found->to_bias);
  }
  require(cut(x, row) == cut(weight, column),
          "linear takes an x and a weight that cut `in` alike, not {} and {}; redistribute one", x, weight);
  const auto expected = rows_alone(std::move(needed));
  if (bias != nullptr) {
    require(*bias == expected, "linear takes a bias placed as {} with a weight placed as {}, not {}; redistribute it",
            expected, weight, *bias);
  }

  // The leading dimensions nest as they do in x, the last ones as in the weight; and so do given blocks.
  const auto from_weight = [&](int axis) {
    return weight.placement(axis).is_shard() && !weight.placement(axis).is_shard(column);
  };
  auto options = x.options();
  auto next = weight.nesting().begin();
  for (int& axis : options.nesting) {
    if (!from_weight(axis)) continue;
    next = std::find_if(next, weight.nesting().end(), from_weight);
    axis = *next++;
  }
  std::erase_if(options.block_extents, [&](const auto& entry) { return x.placement(entry.first).is_shard(row); });
  for (const auto& [axis, extents] : expected.options().block_extents) options.block_extents[axis] = extents;
  auto shape = x.shape().without(row);
  for (const Index extent : expected.shape()) shape = shape.appended(extent);
  return {{x.topology(), std::move(shape), std::move(result), std::move(options)},
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

/// A local tensor as a matrix: the dimensions before `dim` are its rows, the others its columns.
template <class T>
kernels::Matrix<const T> matrix_of(const Tensor<T>& local, int dim) {
  const Index columns = local.shape().elements(dim, local.shape().dimensions());
  return {local.data(), local.shape().elements(0, dim), columns, columns};
}
template <class T>
kernels::Matrix<T> matrix_of(Tensor<T>& local, int dim) {
  const auto same = matrix_of(std::as_const(local), dim);
  return {local.data(), same.rows, same.columns, same.stride};
}

}  // namespace

template <class T>
Variable<T> linear(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias) {
  const auto placed = place(x.distribution(), weight.distribution(), bias.is_null() ? nullptr : &bias.distribution());
  const int row = x.shape().dimensions() - 1;
  const int column = weight.shape().dimensions() - 1;
  auto value = rules::computed<T>(placed.result, [&](auto where, Tensor<T>& out) {
    kernels::matmul_transposed_right(where, matrix_of(x.value().local(), row),
                                     matrix_of(weight.value().local(), column), matrix_of(out, row));
    if (!bias.is_null() && has_first_term(placed.result)) {
      kernels::add_to_rows(where, bias.value().local().data(), matrix_of(out, row));
    }
  });
  auto result = Variable<T>::result(std::move(value), records(x, weight, bias));
  if (result.requires_gradient()) {
    GradientTape::active()->record("linear", [x, weight, bias, result, placed, row, column, input = Saved(x.value()),
                                              matrix = Saved(weight.value())] {
      const auto g = result.take_contributions();
      if (!g) return;
      const auto upstream = matrix_of(g->local(), row);
      if (x.requires_gradient()) {
        x.contribute(rules::computed<T>(placed.to_x, [&](auto where, Tensor<T>& out) {
          kernels::matmul(where, upstream, matrix_of(matrix.get().local(), column), matrix_of(out, row));
        }));
      }
      if (weight.requires_gradient()) {
        weight.contribute(rules::computed<T>(placed.to_weight, [&](auto where, Tensor<T>& out) {
          kernels::matmul_transposed_left(where, upstream, matrix_of(input.get().local(), row), matrix_of(out, column));
        }));
      }
      if (bias.requires_gradient()) {
        bias.contribute(rules::computed<T>(
            placed.to_bias, [&](auto where, Tensor<T>& out) { kernels::column_sums(where, upstream, out.data()); }));
      }
    });
  }
  return result;
}

#define INSTANTIATE(T) template Variable<T> linear(const Variable<T>&, const Variable<T>&, const Variable<T>&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan::functional
