#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <string>
#include <utility>

#include <tartan/base/random.hpp>
#include <tartan/distributed/inner_product.hpp>
#include <tartan/distributed/redistribution.hpp>

namespace tartan {

/// A linear map between distributed tensors: forward takes a tensor placed as domain() and gives one placed as range();
/// adjoint, its transpose under pairing(), takes one placed as range().dual() and gives one placed as domain().dual().
/// Both are collective.
template <class A, class T = double>
concept LinearOperator = requires(const A& a, const DistributedTensor<T>& x) {
  { a.domain() } -> std::convertible_to<Distribution>;
  { a.range() } -> std::convertible_to<Distribution>;
  { a.forward(x) } -> std::same_as<DistributedTensor<T>>;
  { a.adjoint(x) } -> std::same_as<DistributedTensor<T>>;
};

/// The transpose of an operator, as an operator.
template <LinearOperator A>
class Adjoint {
 public:
  explicit Adjoint(A a) : a_(std::move(a)) {}

  Distribution domain() const { return a_.range().dual(); }
  Distribution range() const { return a_.domain().dual(); }
  template <class T>
  DistributedTensor<T> forward(const DistributedTensor<T>& y) const {
    return a_.adjoint(y);
  }
  template <class T>
  DistributedTensor<T> adjoint(const DistributedTensor<T>& x) const {
    return a_.forward(x);
  }

 private:
  A a_;
};

/// Without this, Adjoint(Adjoint(a)) would be a copy of its argument.
template <LinearOperator A>
Adjoint(Adjoint<A>) -> Adjoint<Adjoint<A>>;

/// B after A: x -> B A x.
template <LinearOperator B, LinearOperator A>
class Composition {
 public:
  /// Throws Error unless B takes what A gives.
  Composition(B b, A a) : b_(std::move(b)), a_(std::move(a)) {
    if (!(Distribution(a_.range()) == Distribution(b_.domain()))) {
      throw Error("operators do not compose: the inner one gives " + Distribution(a_.range()).to_string() +
                  ", the outer one takes " + Distribution(b_.domain()).to_string());
    }
  }

  Distribution domain() const { return a_.domain(); }
  Distribution range() const { return b_.range(); }
  template <class T>
  DistributedTensor<T> forward(const DistributedTensor<T>& x) const {
    return b_.forward(a_.forward(x));
  }
  template <class T>
  DistributedTensor<T> adjoint(const DistributedTensor<T>& y) const {
    return a_.adjoint(b_.adjoint(y));
  }

 private:
  B b_;
  A a_;
};

/// Local elements drawn from a normal distribution by global index and, along Partial axes, by term: copies agree,
/// terms differ. Does not communicate.
template <class T>
DistributedTensor<T> random_tensor(const Distribution& distribution, const RandomStream& stream);

/// Collective over the root. How far an operator is from its adjoint identity, |<A x, y> - <x, A* y>| / (|A x| |y| +
/// |x| |A* y|) for random x and y drawn from `seed`, with |.| the root of the sum of squares over ranks: of the order
/// of T's rounding for a correct pair.
template <class T = double, LinearOperator<T> A>
double adjoint_defect(const A& a, std::uint64_t seed = 1) {
  const auto local_norm = [](const DistributedTensor<T>& x) {
    return std::sqrt(pairing(x, x.viewed_as(x.distribution().dual())));
  };
  const auto x = random_tensor<T>(a.domain(), RandomStream(seed, "adjoint_defect/x"));
  const auto y = random_tensor<T>(Distribution(a.range()).dual(), RandomStream(seed, "adjoint_defect/y"));
  const auto ax = a.forward(x);
  const auto ay = a.adjoint(y);
  const double difference = std::abs(pairing(ax, y) - pairing(x, ay));
  const double scale = local_norm(ax) * local_norm(y) + local_norm(x) * local_norm(ay);
  return scale == 0 ? difference : difference / scale;
}

}  // namespace tartan
