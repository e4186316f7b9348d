#include "kernels/boxes.hpp"

#include <limits>
#include <vector>

#include <tartan/base/random.hpp>

#include "support/catch.hpp"

namespace tartan {
namespace {

/// What copy_box and add_box mean, one element at a time.
template <class T, class U, class Combine>
void naive(const std::vector<T>& source, const Box& source_box, std::vector<U>& target, const Box& target_box,
           const Box& part, Combine combine) {
  const Shape shape = part.shape();
  for (Index flat = 0; flat < shape.elements(); ++flat) {
    auto in_source = shape.index(flat);
    auto in_target = in_source;
    for (int dim = 0; dim < part.dimensions(); ++dim) {
      const auto d = static_cast<std::size_t>(dim);
      in_source[d] += part[dim].begin - source_box[dim].begin;
      in_target[d] += part[dim].begin - target_box[dim].begin;
    }
    U& element = target[static_cast<std::size_t>(target_box.shape().flat(in_target))];
    element = combine(element, source[static_cast<std::size_t>(source_box.shape().flat(in_source))]);
  }
}

/// `inner`, grown by up to two indices at each end of each dimension; or the same in every other call, so that whole
/// dimensions are dense in memory.
template <class Draw>
Box around(const Box& inner, Draw draw) {
  Box outer = inner;
  for (int dim = 0; dim < inner.dimensions(); ++dim) {
    if (draw(2) == 0) continue;
    outer[dim] = {inner[dim].begin - draw(3), inner[dim].end + draw(3)};
  }
  return outer;
}

TEMPLATE_TEST_CASE("copy_box and add_box do what a naive loop does", "", float, double, bfloat16, half, std::int32_t,
                   std::int64_t) {
  const RandomStream stream(1, "boxes");
  Index count = 0;
  const auto draw = [&](Index bound) { return stream.below(count++, bound); };
  for (int dims = 0; dims <= 4; ++dims) {
    for (int trial = 0; trial < 200; ++trial) {
      std::vector<Interval> intervals;
      for (int dim = 0; dim < dims; ++dim) {
        const Index begin = draw(9);
        intervals.push_back({begin, begin + draw(4) + (draw(8) == 0 ? 0 : 1)});
      }
      const Box part(intervals);
      const Box source_box = around(part, draw);
      const Box target_box = around(part, draw);
      INFO(part.to_string() << " from " << source_box.to_string() << " to " << target_box.to_string());

      std::vector<TestType> source(static_cast<std::size_t>(source_box.elements()));
      std::vector<TestType> before(static_cast<std::size_t>(target_box.elements()));
      for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<TestType>(i + 1);
      for (std::size_t i = 0; i < before.size(); ++i) before[i] = static_cast<TestType>(1000 * (i + 1));

      auto target = before;
      auto expected = before;
      kernels::copy_box(kernels::Cpu{}, source.data(), source_box, target.data(), target_box, part);
      naive(source, source_box, expected, target_box, part, [](TestType, TestType s) { return s; });
      REQUIRE(target == expected);

      using A = Accumulator<TestType>;
      std::vector<A> sums(before.size());
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = static_cast<A>(1000 * (i + 1));
      auto expected_sums = sums;
      kernels::add_box(kernels::Cpu{}, source.data(), source_box, sums.data(), target_box, part);
      naive(source, source_box, expected_sums, target_box, part,
            [](A t, TestType s) { return static_cast<A>(t + static_cast<A>(s)); });
      REQUIRE(sums == expected_sums);
    }
  }
}

TEST_CASE("columns of no width are cut and joined at once, however many rows they have") {
  const std::vector<Index> widths{0, 0};
  kernels::split_columns<float>(kernels::Cpu{}, nullptr, std::numeric_limits<Index>::max(), widths, nullptr);
  kernels::join_columns<float>(kernels::Cpu{}, nullptr, std::numeric_limits<Index>::max(), widths, nullptr);
}

}  // namespace
}  // namespace tartan
