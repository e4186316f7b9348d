#pragma once

#include <tartan/comm/recorder.hpp>
#include <tartan/distributed/linear_operator.hpp>
#include <tartan/distributed/redistribution.hpp>

#include "distributed/logical.hpp"

namespace tartan::testing {

inline constexpr Numbers forward_numbers{1, 1};
inline constexpr Numbers backward_numbers{3, -7};

/// A distribution with this rank's part of a tensor placed so and of one placed as its dual.
template <class T>
struct Laid {
  explicit Laid(const Distribution& distribution)
      : d{distribution},
        x{laid_out<T>(distribution, forward_numbers)},
        y{laid_out<T>(distribution.dual(), backward_numbers)} {}

  Distribution d;
  DistributedTensor<T> x;
  DistributedTensor<T> y;
};

template <class T>
std::vector<Laid<T>> laid_all(const std::vector<Distribution>& distributions) {
  return {distributions.begin(), distributions.end()};
}

template <class T>
double local_product(const DistributedTensor<T>& a, const DistributedTensor<T>& b) {
  double sum = 0;
  for (Index i = 0; i < a.local().elements(); ++i)
    sum += static_cast<double>(a.local()[i]) * static_cast<double>(b.local()[i]);
  return sum;
}

/// One move and its adjoint: exact values on both sides, <A x, y> = <x, A* y> without any rounding, and as many bytes
/// as were announced.
template <class T>
void check_move(const Laid<T>& from, const Laid<T>& to, Sums& sums) {
  const std::string label = from.d.to_string() + " -> " + to.d.to_string();
  INFO(label);
  const Redistribution move(from.d, to.d);
  CHECK(move.domain() == from.d);
  CHECK(move.range() == to.d);

  CommRecorder recorder;
  const auto ax = move.forward(from.x);
  const auto sent = static_cast<double>(recorder.bytes());
  recorder.clear();
  const auto ay = move.adjoint(to.y);
  const auto sent_back = static_cast<double>(recorder.bytes());
  const auto announced = static_cast<double>(move.elements_sent()) * sizeof(T);
  sums.expect(label + ", bytes sent forward and back", {sent, sent_back}, {announced, announced});

  check_arrived(ax, to.d, forward_numbers, label + ", forward", sums);
  check_arrived(ay, from.d.dual(), backward_numbers, label + ", adjoint", sums);
  sums.expect(label + ", <A x, y> - <x, A* y>", {local_product(ax, to.y) - local_product(from.x, ay)}, {0});
}

}  // namespace tartan::testing
