#pragma once

#include <tartan/autograd/operations.hpp>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <tartan/comm/agreement.hpp>

#include "distributed/logical.hpp"

namespace tartan::testing {

using Flat = std::vector<double>;

/// Checks of numbers that are sums over ranks, made in one reduction for thousands of cases.
class Batch {
 public:
  /// Every rank adds the same cases in the same order. `check` gets the sum of all ranks' `mine`.
  void add(std::string label, Flat mine, std::function<void(const Flat& sum)> check) {
    mine_.insert(mine_.end(), mine.begin(), mine.end());
    cases_.push_back({std::move(label), mine.size(), std::move(check)});
  }

  /// Collective over all ranks.
  void verify() {
    Flat all(mine_.size());
    world().all_reduce(std::span<const double>(mine_), std::span<double>(all));
    auto next = all.begin();
    for (const auto& item : cases_) {
      INFO(item.label);
      const auto end = next + static_cast<std::ptrdiff_t>(item.length);
      item.check(Flat(next, end));
      next = end;
    }
    mine_.clear();
    cases_.clear();
  }

 private:
  struct Case {
    std::string label;
    std::size_t length;
    std::function<void(const Flat&)> check;
  };
  Flat mine_;
  std::vector<Case> cases_;
};

/// True where this rank holds the first copy of what it holds: each term of a logical tensor is counted once.
inline bool holds_first_copy(const Distribution& d) {
  const int position = my_position(d);
  return position >= 0 && first_on(d, position, Placement::Kind::replicate) &&
         first_on(d, position, Placement::Kind::root);
}

/// This rank's share of <a, b>, for tensors cut alike of which at most one is Partial on an axis.
inline double share_of_product(const DistributedTensor<double>& a, const DistributedTensor<double>& b) {
  // What is Partial in one is Replicate in the other: there every rank has a share.
  auto placements = a.distribution().placements();
  for (std::size_t axis = 0; axis < placements.size(); ++axis) {
    if (b.distribution().placements()[axis].is_partial()) placements[axis] = Partial{};
  }
  if (!holds_first_copy(a.distribution().with(placements))) return 0;
  const auto x = a.local_on_host();
  const auto y = b.local_on_host();
  double sum = 0;
  for (Index i = 0; i < x.elements(); ++i) sum += x[i] * y[i];
  return sum;
}

/// This rank's share of a 0-d tensor.
inline double share(const DistributedTensor<double>& x) {
  return holds_first_copy(x.distribution()) ? x.local_on_host()[0] : 0;
}

inline double largest_difference(const Flat& a, const Flat& b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

/// `tensor` must be the logical tensor `expected` (row-major) to within `tolerance`: element by element on this rank;
/// where it has several terms their sum, which is left to `batch`.
template <class T>
void check_logical(const DistributedTensor<T>& tensor, const Flat& expected, double tolerance, const std::string& label,
                   Batch& batch) {
  const auto& d = tensor.distribution();
  const int position = my_position(d);
  const auto flats = held_elements(d, position);
  const auto part = tensor.local_on_host();
  const Flat local(part.span().begin(), part.span().end());
  CHECK(tensor.local().shape() == expected_local_shape(d, position));
  if (!d.any(Placement::Kind::partial)) {
    Flat mine;
    for (const Index flat : flats) mine.push_back(expected[static_cast<std::size_t>(flat)]);
    const double difference = largest_difference(local, mine);
    CHECK(difference <= tolerance);
    return;
  }
  Flat mine(expected.size());
  if (holds_first_copy(d)) {
    for (std::size_t i = 0; i < flats.size(); ++i) mine[static_cast<std::size_t>(flats[i])] = local[i];
  }
  batch.add(label, std::move(mine), [=](const Flat& sum) { CHECK(largest_difference(sum, expected) <= tolerance); });
}

/// The text of the Error that `call` throws, which must be the same on every rank: `same` is verified at the end.
class SameTexts {
 public:
  template <class Call>
  std::string of(Call call) {
    std::string text = "no error";
    try {
      call();
    } catch (const RemoteError& error) {
      text = std::string("RemoteError: ") + error.what();
    } catch (const Error& error) {
      text = error.what();
    }
    all_ += text + '\n';
    return text;
  }
  /// Collective over all ranks.
  void verify() const { CHECK_NOTHROW(same_on_all(world(), "texts of errors", all_)); }

 private:
  std::string all_;
};

}  // namespace tartan::testing
