#include <tartan/autograd/operations.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "kernels/elementwise.hpp"

namespace tartan {
namespace {

using rules::computed;
using rules::input_gradient;

/// Element-wise a·b as the tensor that `distribution` describes.
template <class T>
DistributedTensor<T> product(const DistributedTensor<T>& a, const DistributedTensor<T>& b, Distribution distribution) {
  return computed<T>(std::move(distribution), [&](auto where, Tensor<T>& out) {
    kernels::multiply(where, a.local().data(), b.local().data(), out.elements(), out.data());
  });
}

template <class T>
DistributedTensor<T> scaled(const DistributedTensor<T>& x, Accumulator<T> factor) {
  return computed<T>(x.distribution(), [&](auto where, Tensor<T>& out) {
    kernels::scale(where, x.local().data(), factor, out.elements(), out.data());
  });
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
  if (!fit || a.gradient() != b.gradient()) {
    fail("{} takes two tensors placed alike, or a Partial one with a Replicate one, not {} and {}{}", operation, a, b,
         rules::hint("b", b, a.gradient()));
  }
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
  rules::require_alike("a sum", "b", a.distribution(), b.distribution());
  auto value = computed<T>(a.distribution(), [&](auto where, Tensor<T>& out) {
    kernels::add(where, a.value().local().data(), b.value().local().data(), out.elements(), out.data());
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
Variable<T> operator*(Accumulator<T> factor, const Variable<T>& x) {
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
  auto value = computed<T>(rules::summed(x.distribution()), [&](auto where, Tensor<T>& out) {
    if (out.elements() > 0) kernels::sum(where, local.data(), local.elements(), out.data());
  });
  auto result = Variable<T>::result(std::move(value), records(x));
  if (result.requires_gradient()) {
    GradientTape::active()->record("a sum of elements", [x, result] {
      const auto g = result.take_contributions();
      if (!g) return;
      x.contribute(computed<T>(
          input_gradient(x.distribution(), result.distribution()),
          [&](auto where, Tensor<T>& out) { kernels::repeat(where, g->local().data(), out.elements(), out.data()); }));
    });
  }
  return result;
}

#define INSTANTIATE(T)                                                          \
  template Variable<T> redistribute(const Variable<T>&, const Distribution&);   \
  template Variable<T> redistributed(const Variable<T>&, DistributedTensor<T>); \
  template Variable<T> operator+(const Variable<T>&, const Variable<T>&);       \
  template Variable<T> operator*(const Variable<T>&, const Variable<T>&);       \
  template Variable<T> operator*<T>(Accumulator<T>, const Variable<T>&);        \
  template Variable<T> sum(const Variable<T>&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
