#include <tartan/autograd/operations.hpp>

#include <vector>

#include <tartan/distributed/leaves.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/dots.hpp"
#include "tensor/rows_of.hpp"

namespace tartan {
namespace {

using rules::computed;
using rules::input_gradient;

/// The result of dot(a, b); throws where a and b do not meet.
Distribution dot_distribution(const Distribution& a, const Distribution& b, DotOptions dot_options) {
  const int last = a.shape().dimensions() - 1;
  const bool several = b.shape().dimensions() == a.shape().dimensions() + 1;
  const auto expected_shape = [&] {
    if (last < 0) return false;
    auto extents = std::vector<Index>(b.shape().begin(), b.shape().end());
    if (several) extents.erase(extents.end() - 2);
    return Shape(std::move(extents)) == a.shape();
  };
  require(expected_shape(), "dot takes (..., D) with (..., D) or with (..., K, D), not the shapes {} and {}",
          a.shape().to_string(), b.shape().to_string());

  if (a.topology() != b.topology()) rules::require_alike("dot", "b", a, b);
  auto placements = a.placements();
  auto expected = a.placements();
  for (std::size_t axis = 0; axis < placements.size(); ++axis) {
    const auto p = a.placements()[axis];
    const auto q = b.placements()[axis];
    if (p.is_shard(last)) {
      expected[axis] = Shard{last + (several ? 1 : 0)};
      placements[axis] = dot_options.reproducible ? Placement{Replicate{}} : Placement{Partial{}};
    } else if ((p.is_partial() && q.is_replicate()) || (p.is_replicate() && q.is_partial())) {
      expected[axis] = q;
      placements[axis] = Partial{};
    } else if (p.is_partial()) {
      expected[axis] = Replicate{};
    }
  }
  auto options = a.options();
  const Distribution needed = b.with(std::move(expected), options);
  if (needed != b) {
    fail("dot takes an operand placed as {} with one placed as {}, not {}{}", a, needed, b,
         rules::hint("b", b, needed));
  }
  if (dot_options.reproducible) require_leaves(a, last);
  std::erase_if(options.block_extents, [&](const auto& entry) { return a.placement(entry.first).is_shard(last); });
  auto shape = a.shape().without(last);
  if (several) shape = shape.appended(b.shape()[last]);
  return {a.topology(), std::move(shape), std::move(placements), std::move(options)};
}

}  // namespace

template <class T>
Variable<T> dot(const Variable<T>& a, const Variable<T>& b, DotOptions options) {
  const auto& x = a.value().local();
  const auto& y = b.value().local();
  auto value =
      computed<T>(dot_distribution(a.distribution(), b.distribution(), options), [&](auto where, Tensor<T>& out) {
        if (!options.reproducible) {
          // A rank that holds nothing has a row of a vector all the same.
          if (out.elements() > 0) kernels::row_dots(where, rows_of(x), rows_of(y), out.data());
          return;
        }
        const auto rows = rows_of(y);
        Tensor<Accumulator<T>> leaves(Shape{rows.rows, leaves_of(rows.columns)}, out.device());
        kernels::leaf_dots(where, rows_of(x), rows, leaves.data());
        sum_leaves(a.distribution(), a.shape().dimensions() - 1, leaves, out);
      });
  auto result = Variable<T>::result(std::move(value), records(a, b));
  if (result.requires_gradient()) {
    GradientTape::active()->record("dot", [a, b, result, x = Saved(a.value()), y = Saved(b.value())] {
      const auto g = result.take_contributions();
      if (!g) return;
      const auto& of_a = x.get().local();
      const auto& of_b = y.get().local();
      DistributedTensor<T> to_b(input_gradient(b.distribution(), result.distribution()));
      auto to_a =
          computed<T>(input_gradient(a.distribution(), result.distribution()), [&](auto where, Tensor<T>& out_a) {
            to_b.modify([&](Tensor<T>& out_b) {
              if (out_a.elements() == 0) return;
              kernels::row_dots_backward(where, rows_of(of_a), rows_of(of_b), g->local().data(), rows_of(out_a),
                                         rows_of(out_b));
            });
          });
      a.contribute(std::move(to_a));
      b.contribute(std::move(to_b));
    });
  }
  return result;
}

#define INSTANTIATE(T) template Variable<T> dot(const Variable<T>&, const Variable<T>&, DotOptions);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
