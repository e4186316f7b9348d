#include <tartan/autograd/shapes.hpp>

#include <algorithm>

#include <tartan/autograd/tape.hpp>

#include "autograd/rules.hpp"
#include "base/element_types.hpp"
#include "kernels/boxes.hpp"
#include "kernels/elementwise.hpp"

namespace tartan {
namespace {

using rules::computed;
using rules::input_gradient;

/// `d` with another extent of a dimension that is not sharded.
Distribution resized(const Distribution& d, int dim, Index extent) {
  auto extents = std::vector<Index>(d.shape().begin(), d.shape().end());
  extents[static_cast<std::size_t>(dim)] = extent;
  return {d.topology(), Shape(std::move(extents)), d.placements(), d.options()};
}

int whole_dimension(const char* operation, const Distribution& d, int dim) {
  dim = d.shape().dimension(dim);
  auto whole = d.placements();
  std::ranges::replace_if(
      whole, [&](const Placement& p) { return p.is_shard(dim); }, Replicate{});
  require(whole == d.placements(),
          "{} takes a dimension that is whole on a rank, not dimension {} of {}; redistribute(x, {})", operation, dim,
          d, whole);
  return dim;
}

/// The part of `box` whose indices of `dim` are begin, ..., begin + extent - 1.
Box part_of(const Box& box, int dim, Index begin, Index extent) {
  auto part = box;
  part[dim] = {begin, begin + extent};
  return intersect(box, part);
}

/// The indices of dimension `dim` from `begin` on, as the tensor that `d` describes.
template <class T>
DistributedTensor<T> extracted(const DistributedTensor<T>& x, Distribution d, int dim, Index begin) {
  const Index extent = d.shape()[dim];
  return computed<T>(std::move(d), [&](auto where, Tensor<T>& out) {
    const auto part = part_of(x.box(), dim, begin, extent);
    if (!part.empty()) kernels::copy_box(where, x.local().data(), x.box(), out.data(), part, part);
  });
}

/// A tensor and the index of a dimension at which it begins in another one.
template <class T>
struct Piece {
  DistributedTensor<T> tensor;
  Index begin;
};

/// The inverse: 0 where there is no piece.
template <class T>
DistributedTensor<T> assembled(const std::vector<Piece<T>>& pieces, Distribution d, int dim) {
  Index covered = 0;
  for (const auto& piece : pieces) covered += piece.tensor.shape()[dim];
  DistributedTensor<T> result(std::move(d));
  const auto box = result.box();
  result.modify([&](Tensor<T>& out) {
    kernels::on(out.device(), [&](auto where) {
      if (covered < result.shape()[dim]) kernels::fill(where, out.data(), out.elements(), T{});
      for (const auto& [tensor, begin] : pieces) {
        const auto part = part_of(box, dim, begin, tensor.shape()[dim]);
        if (!part.empty()) kernels::copy_box(where, tensor.local().data(), part, out.data(), box, part);
      }
    });
  });
  return result;
}

/// The parts of x that begin and end there.
template <class T>
std::vector<Variable<T>> parts(const char* name, const Variable<T>& x, int dim,
                               const std::vector<Interval>& intervals) {
  const auto& d = x.distribution();
  std::vector<Variable<T>> results;
  for (const auto& interval : intervals) {
    results.push_back(
        Variable<T>::result(extracted(x.value(), resized(d, dim, interval.extent()), dim, interval.begin), records(x)));
  }
  if (records(x)) {
    GradientTape::active()->record(name, [x, d, dim, intervals, results] {
      std::vector<Piece<T>> pieces;
      for (std::size_t i = 0; i < results.size(); ++i) {
        if (auto g = results[i].take_contributions()) pieces.push_back({*std::move(g), intervals[i].begin});
      }
      if (!pieces.empty()) x.contribute(assembled(pieces, input_gradient(d, d), dim));
    });
  }
  return results;
}

}  // namespace

template <class T>
Variable<T> slice(const Variable<T>& x, int dim, Index begin, Index end) {
  dim = whole_dimension("a slice", x.distribution(), dim);
  require(0 <= begin && begin <= end && end <= x.shape()[dim],
          "a slice of {} takes a begin and an end from 0 to {} of dimension {}, not {} and {}", x.distribution(),
          x.shape()[dim], dim, begin, end);
  return parts("a slice", x, dim, {{begin, end}})[0];
}

template <class T>
std::vector<Variable<T>> split(const Variable<T>& x, const std::vector<Index>& extents, int dim) {
  dim = whole_dimension("a split", x.distribution(), dim);
  std::vector<Interval> intervals;
  Index begin = 0;
  for (const Index extent : extents) {
    require(extent >= 0, "a split takes extents of at least 0, not {}", extent);
    intervals.push_back({begin, checked_add(begin, extent)});
    begin = intervals.back().end;
  }
  require(begin == x.shape()[dim], "a split takes extents that add up to dimension {} of {}, not to {}", dim,
          x.distribution(), begin);
  return parts("a split", x, dim, intervals);
}

template <class T>
Variable<T> concatenate(const std::vector<Variable<T>>& xs, int dim) {
  require(!xs.empty(), "a concatenation takes at least one tensor");
  const auto first = xs[0].distribution();
  dim = whole_dimension("a concatenation", first, dim);
  std::vector<Piece<T>> pieces;
  Index extent = 0;
  bool recorded = false;
  for (const auto& x : xs) {
    const auto& d = x.distribution();
    require(d.shape().dimensions() == first.shape().dimensions() && d == resized(first, dim, d.shape()[dim]),
            "a concatenation takes tensors placed alike, and of one shape but for dimension {}, not {} and {}; "
            "redistribute one",
            dim, first, d);
    pieces.push_back({x.value(), extent});
    extent = checked_add(extent, d.shape()[dim]);
    recorded = recorded || records(x);
  }
  auto result = Variable<T>::result(assembled(pieces, resized(first, dim, extent), dim), recorded);
  if (recorded) {
    GradientTape::active()->record("a concatenation", [xs, dim, result] {
      const auto g = result.take_contributions();
      if (!g) return;
      Index begin = 0;
      for (const auto& x : xs) {
        if (x.requires_gradient()) {
          x.contribute(extracted(*g, input_gradient(x.distribution(), x.distribution()), dim, begin));
        }
        begin += x.shape()[dim];
      }
    });
  }
  return result;
}

#define INSTANTIATE(T)                                                                         \
  template Variable<T> slice(const Variable<T>&, int, Index, Index);                           \
  template std::vector<Variable<T>> split(const Variable<T>&, const std::vector<Index>&, int); \
  template Variable<T> concatenate(const std::vector<Variable<T>>&, int);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
