#include <algorithm>
#include <vector>

#include <tartan/autograd/operations.hpp>
#include <tartan/distributed/leaves.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/dots.hpp"

namespace tartan {
namespace {

using rules::input_gradient;

constexpr kernels::Cpu cpu;

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
    } else {
      require(!p.is_partial(), "dot does not take two Partial operands: {} and {}; redistribute one", a.to_string(),
              b.to_string());
    }
  }
  auto options = a.options();
  const Distribution needed = b.with(std::move(expected), options);
  require(a.grid() == b.grid() && needed == b,
          "dot takes an operand placed as {} with one placed as {}, not {}; redistribute one", a.to_string(),
          needed.to_string(), b.to_string());
  if (dot_options.reproducible) require_leaves(a, last);
  std::erase_if(options.block_extents, [&](const auto& entry) { return a.placement(entry.first).is_shard(last); });
  auto shape = a.shape().without(last);
  if (several) shape = shape.appended(b.shape()[last]);
  return {a.topology(), std::move(shape), std::move(placements), std::move(options)};
}

/// A tensor's part as the rows of its last dimension.
template <class T, class U>
kernels::Matrix<T> rows_of(U& local) {
  const Index columns = local.shape()[local.shape().dimensions() - 1];
  return {local.data(), local.shape().elements(0, local.shape().dimensions() - 1), columns, columns};
}

}  // namespace

template <class T>
Variable<T> dot(const Variable<T>& a, const Variable<T>& b, DotOptions options) {
  DistributedTensor<T> value(dot_distribution(a.distribution(), b.distribution(), options));
  value.modify([&](Tensor<T>& out) {
    const auto x = rows_of<const T>(a.value().local());
    const auto y = rows_of<const T>(b.value().local());
    if (!options.reproducible) return kernels::row_dots(cpu, x, y, out.data());
    std::vector<T> leaves(static_cast<std::size_t>(y.rows * ((y.columns + leaf_columns - 1) / leaf_columns)));
    kernels::leaf_dots(cpu, x, y, leaves.data());
    const int last = a.shape().dimensions() - 1;
    std::ranges::copy(sum_leaves(a.distribution(), last, std::span<const T>(leaves), y.rows), out.data());
  });
  auto result = Variable<T>::result(std::move(value), records(a, b));
  if (result.requires_gradient()) {
    GradientTape::active()->record("dot", [a, b, result, x = Saved(a.value()), y = Saved(b.value())] {
      const auto g = result.take_contributions();
      if (!g) return;
      DistributedTensor<T> to_a(input_gradient(a.distribution(), result.distribution()));
      DistributedTensor<T> to_b(input_gradient(b.distribution(), result.distribution()));
      to_a.modify([&](Tensor<T>& out_a) {
        to_b.modify([&](Tensor<T>& out_b) {
          kernels::row_dots_backward(cpu, rows_of<const T>(x.get().local()), rows_of<const T>(y.get().local()),
                                     g->local().data(), rows_of<T>(out_a), rows_of<T>(out_b));
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
