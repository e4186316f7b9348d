#pragma once

#include <string>
#include <utility>
#include <vector>

#include <tartan/distributed/distributed_tensor.hpp>

#include "partition/oracle.hpp"
#include "support/catch.hpp"
#include "support/world.hpp"

namespace tartan::testing {

/// The numbers of a logical tensor: small integers, another one at every global index.
struct Numbers {
  Index factor = 1;
  Index offset = 1;

  Index operator()(Index flat) const { return factor * flat + offset; }

  /// One of several unequal integer terms whose sum is the number.
  Index term(Index flat, Member member) const {
    const auto other = [flat](Index number) { return (flat + 1) * (number + 2) - 5 * number; };
    if (member.number > 0) return other(member.number);
    Index value = (*this)(flat);
    for (int number = 1; number < member.of; ++number) value -= other(number);
    return value;
  }
};

inline int my_position(const Distribution& d) { return d.topology().rank(); }

inline Shape expected_local_shape(const Distribution& d, int position) {
  if (position >= 0 && first_on(d, position, Placement::Kind::root)) return Box(expected_block(d, position)).shape();
  return Shape(std::vector<Index>(static_cast<std::size_t>(std::max(d.shape().dimensions(), 1)), 0));
}

/// This rank's part of the logical tensor, laid out by hand.
template <class T>
DistributedTensor<T> laid_out(const Distribution& d, Numbers numbers = {}) {
  const int position = my_position(d);
  std::vector<T> values;
  for (const Index flat : held_elements(d, position)) {
    values.push_back(static_cast<T>(numbers.term(flat, member(d, position, Placement::Kind::partial))));
  }
  const auto local = Tensor<T>::from(expected_local_shape(d, position), values);
  return DistributedTensor<T>::from_local(d, local, LocalCheck::none);
}

/// Sums over all ranks that must come out at known values, made in one reduction for thousands of cases.
class Sums {
 public:
  /// Every rank adds the same cases in the same order.
  void expect(std::string label, std::vector<double> mine, std::vector<double> sum) {
    mine_.insert(mine_.end(), mine.begin(), mine.end());
    cases_.push_back({std::move(label), std::move(sum)});
  }

  /// Collective over all ranks.
  void verify() {
    std::vector<double> all(mine_.size());
    world().all_reduce(std::span<const double>(mine_), std::span<double>(all));
    auto next = all.begin();
    for (const auto& [label, sum] : cases_) {
      INFO(label);
      const auto end = next + static_cast<std::ptrdiff_t>(sum.size());
      CHECK(std::vector<double>(next, end) == sum);
      next = end;
    }
    mine_.clear();
    cases_.clear();
  }

 private:
  struct Case {
    std::string label;
    std::vector<double> sum;
  };
  std::vector<double> mine_;
  std::vector<Case> cases_;
};

/// `tensor` must be the logical tensor `numbers` placed as `d`: element by element on this rank; where the placement
/// has several terms, only their sum is determined, and left to `sums`.
template <class T>
void check_arrived(const DistributedTensor<T>& tensor, const Distribution& d, Numbers numbers, const std::string& label,
                   Sums& sums) {
  const int position = my_position(d);
  const auto flats = held_elements(d, position);
  const auto part = tensor.local_on_host();
  const auto local = part.span();
  CHECK(tensor.distribution() == d);
  CHECK(tensor.local().shape() == expected_local_shape(d, position));
  const bool fits = local.size() == flats.size();
  const int terms = member(d, 0, Placement::Kind::partial).of;
  if (terms == 1) {
    std::vector<T> expected;
    for (const Index flat : flats) expected.push_back(static_cast<T>(numbers(flat)));
    CHECK(std::vector<T>(local.begin(), local.end()) == expected);
    return;
  }
  const auto elements = static_cast<std::size_t>(d.shape().elements());
  const auto copies = static_cast<std::size_t>(member(d, 0, Placement::Kind::replicate).of);
  std::vector<double> mine(copies * elements);
  std::vector<double> sum(copies * elements);
  for (std::size_t i = 0; fits && i < flats.size(); ++i) {
    const auto copy = static_cast<std::size_t>(member(d, position, Placement::Kind::replicate).number);
    mine[copy * elements + static_cast<std::size_t>(flats[i])] = static_cast<double>(local[i]);
  }
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = static_cast<double>(numbers(static_cast<Index>(i % elements)));
  sums.expect(label, std::move(mine), std::move(sum));
}

}  // namespace tartan::testing
