#include <tartan/autograd/operations.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/dots.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/losses.hpp"

namespace tartan {
namespace {

constexpr kernels::Cpu cpu;

/// Where an operation's backward computes the gradient of an input without moving anything, per axis, from the
/// placements of the input and of the result (docs/design.md, Gradients).
Placement input_gradient(Placement input, Placement result) {
  if (!input.is_replicate()) return input.gradient();
  if (result.is_replicate() || result.is_root()) return result;
  return Partial{};
}

Distribution input_gradient(const Distribution& input, const Distribution& result) {
  auto placements = input.placements();
  for (std::size_t axis = 0; axis < placements.size(); ++axis) {
    placements[axis] = input_gradient(placements[axis], result.placements()[axis]);
  }
  return input.with(std::move(placements));
}

/// The placement of a 0-d sum over all elements.
Distribution summed(const Distribution& x) {
  auto placements = x.placements();
  for (auto& placement : placements) {
    if (placement.is_shard()) placement = Partial{};
  }
  return {x.topology(), Shape{}, std::move(placements)};
}

template <class T>
DistributedTensor<T> scalar(const Distribution& distribution, double value) {
  DistributedTensor<T> result(distribution);
  result.modify([&](Tensor<T>& out) { out.fill(static_cast<T>(value)); });
  return result;
}

/// Element-wise a·b as the tensor that `distribution` describes.
template <class T>
DistributedTensor<T> product(const DistributedTensor<T>& a, const DistributedTensor<T>& b, Distribution distribution) {
  DistributedTensor<T> result(std::move(distribution));
  result.modify(
      [&](Tensor<T>& out) { kernels::multiply(cpu, a.local().data(), b.local().data(), out.elements(), out.data()); });
  return result;
}

template <class T>
DistributedTensor<T> scaled(const DistributedTensor<T>& x, T factor) {
  DistributedTensor<T> result(x.distribution());
  result.modify([&](Tensor<T>& out) { kernels::scale(cpu, x.local().data(), factor, out.elements(), out.data()); });
  return result;
}

/// The placement of a product: Partial where one factor is Partial and the other Replicate, otherwise as both.
Distribution product_distribution(const Distribution& a, const Distribution& b, const char* operation) {
  auto placements = a.placements();
  bool fit = a.grid() == b.grid();
  for (std::size_t axis = 0; fit && axis < placements.size(); ++axis) {
    const auto p = a.placements()[axis];
    const auto q = b.placements()[axis];
    if ((p.is_partial() && q.is_replicate()) || (p.is_replicate() && q.is_partial())) {
      placements[axis] = Partial{};
    } else {
      fit = p == q && !p.is_partial();
    }
  }
  // What is not Partial must be cut alike: compare with every Partial replaced by Replicate.
  require(fit && a.gradient() == b.gradient(),
          "{} takes two tensors placed alike, or a Partial one with a Replicate one, not {} and {}; redistribute one",
          operation, a.to_string(), b.to_string());
  return a.with(std::move(placements));
}

}  // namespace

template <class T>
Variable<T> redistribute(const Variable<T>& x, const Distribution& to) {
  return redistributed(x, redistribute(x.value(), to));
}

template <class T>
Variable<T> redistributed(const Variable<T>& x, DistributedTensor<T> value) {
  auto result = Variable<T>::result(std::move(value), records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record("redistribute", [x, result] { result.pass_contributions_to(x); });
  }
  return result;
}

template <class T>
Variable<T> operator+(const Variable<T>& a, const Variable<T>& b) {
  require(a.distribution() == b.distribution(), "a sum takes two tensors placed alike, not {} and {}; redistribute one",
          a.distribution().to_string(), b.distribution().to_string());
  DistributedTensor<T> value(a.distribution());
  value.modify([&](Tensor<T>& out) {
    kernels::add(cpu, a.value().local().data(), b.value().local().data(), out.elements(), out.data());
  });
  auto result = Variable<T>::result(std::move(value), records(a, b));
  if (result.requires_gradient()) {
    GradientTape::active()->record("a sum", [a, b, result] {
      if (auto g = result.take_contributions()) {
        a.contribute(*g);
        b.contribute(*g);
      }
    });
  }
  return result;
}

template <class T>
Variable<T> operator*(const Variable<T>& a, const Variable<T>& b) {
  const auto placed = product_distribution(a.distribution(), b.distribution(), "a product");
  auto result = Variable<T>::result(product(a.value(), b.value(), placed), records(a, b));
  if (result.requires_gradient()) {
    GradientTape::active()->record("a product", [a, b, result, x = Saved(a.value()), y = Saved(b.value())] {
      if (const auto g = result.take_contributions()) {
        if (a.requires_gradient()) {
          a.contribute(product(*g, y.get(), input_gradient(a.distribution(), result.distribution())));
        }
        if (b.requires_gradient()) {
          b.contribute(product(*g, x.get(), input_gradient(b.distribution(), result.distribution())));
        }
      }
    });
  }
  return result;
}

template <class T>
Variable<T> operator*(std::type_identity_t<T> factor, const Variable<T>& x) {
  auto result = Variable<T>::result(scaled(x.value(), factor), records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record("a multiple", [factor, x, result] {
      if (const auto g = result.take_contributions()) x.contribute(scaled(*g, factor));
    });
  }
  return result;
}

template <class T>
Variable<T> sum(const Variable<T>& x) {
  const auto& local = x.value().local();
  auto result = Variable<T>::result(
      scalar<T>(summed(x.distribution()), kernels::sum(cpu, local.data(), local.elements())), records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record("a sum of elements", [x, result] {
      const auto g = result.take_contributions();
      if (!g) return;
      DistributedTensor<T> gradient(input_gradient(x.distribution(), result.distribution()));
      gradient.modify([&](Tensor<T>& out) {
        if (out.elements() > 0) out.fill(g->local()[0]);
      });
      x.contribute(std::move(gradient));
    });
  }
  return result;
}

namespace {

/// The result of dot(a, b); throws where a and b do not meet.
Distribution dot_distribution(const Distribution& a, const Distribution& b) {
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
      placements[axis] = Partial{};
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
Variable<T> dot(const Variable<T>& a, const Variable<T>& b) {
  DistributedTensor<T> value(dot_distribution(a.distribution(), b.distribution()));
  value.modify([&](Tensor<T>& out) {
    kernels::row_dots(cpu, rows_of<const T>(a.value().local()), rows_of<const T>(b.value().local()), out.data());
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

template <class T>
Variable<T> binary_cross_entropy_with_logits(const Variable<T>& x, const DistributedTensor<T>& y,
                                             LossReduction reduction) {
  require(!x.distribution().any(Placement::Kind::partial),
          "binary cross-entropy is not linear in its logits and does not take them as {}; redistribute them first",
          x.distribution().to_string());
  require(x.distribution() == y.distribution(),
          "binary cross-entropy takes logits and labels placed alike, not {} and {}", x.distribution().to_string(),
          y.distribution().to_string());
  const double factor = reduction == LossReduction::sum ? 1.0 : 1.0 / static_cast<double>(x.shape().elements());
  const auto& logits = x.value().local();
  const double loss =
      kernels::binary_cross_entropy_sum(cpu, logits.data(), y.local().data(), logits.elements()) * factor;
  auto result = Variable<T>::result(scalar<T>(summed(x.distribution()), loss), records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record(
        "binary cross-entropy", [x, result, factor, saved = Saved(x.value()), labels = Saved(y)] {
          const auto g = result.take_contributions();
          if (!g) return;
          const auto& inputs = saved.get().local();
          const auto& targets = labels.get().local();
          DistributedTensor<T> gradient(input_gradient(x.distribution(), result.distribution()));
          gradient.modify([&](Tensor<T>& out) {
            if (out.elements() == 0) return;
            kernels::binary_cross_entropy_backward(cpu, inputs.data(), targets.data(),
                                                   static_cast<T>(factor) * g->local()[0], out.elements(), out.data());
          });
          x.contribute(std::move(gradient));
        });
  }
  return result;
}

#define INSTANTIATE(T)                                                            \
  template Variable<T> redistribute(const Variable<T>&, const Distribution&);     \
  template Variable<T> redistributed(const Variable<T>&, DistributedTensor<T>);   \
  template Variable<T> operator+(const Variable<T>&, const Variable<T>&);         \
  template Variable<T> operator*(const Variable<T>&, const Variable<T>&);         \
  template Variable<T> operator*<T>(std::type_identity_t<T>, const Variable<T>&); \
  template Variable<T> sum(const Variable<T>&);                                   \
  template Variable<T> dot(const Variable<T>&, const Variable<T>&);               \
  template Variable<T> binary_cross_entropy_with_logits(const Variable<T>&, const DistributedTensor<T>&, LossReduction);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
