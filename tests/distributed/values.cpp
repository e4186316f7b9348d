// What moves must do to the numbers that arithmetic treats specially: -0.0, NaN and infinity.

#include <cmath>
#include <limits>

#include "distributed/moves.hpp"

namespace tartan {
namespace {

using namespace testing;

/// Distributions of a (5, 3) tensor on one and two axes over all ranks, and on the same ranks backwards.
std::vector<std::vector<Distribution>> families() {
  const int n = world().size();
  const Partition all(world());
  std::vector<int> order;
  for (int rank = n - 1; rank >= 0; --rank) order.push_back(rank);
  const auto grid = all.cartesian({n % 2 == 0 ? 2 : 1, n % 2 == 0 ? n / 2 : n});
  std::vector<std::vector<Distribution>> result(2);
  for (const auto& placements : all_placements(1, 2)) {
    result[0].emplace_back(all.cartesian({n}), Shape{5, 3}, placements);
    result[0].emplace_back(all.subset(order).cartesian({n}), Shape{5, 3}, placements);
  }
  for (const auto& placements : all_placements(2, 2)) result[1].emplace_back(grid, Shape{5, 3}, placements);
  return result;
}

TEMPLATE_TEST_CASE("every move keeps -0.0", "", float, double) {
  const auto is_negative_zero = [](TestType x) { return x == 0 && std::signbit(x); };
  for (const auto& family : families()) {
    for (const auto& from : family) {
      DistributedTensor<TestType> x(from);
      x.modify([](Tensor<TestType>& local) { local.fill(-TestType{}); });
      for (const auto& to : family) {
        INFO(from.to_string() << " -> " << to.to_string());
        const auto moved = redistribute(x, to);
        CHECK(std::ranges::all_of(moved.local().span(), is_negative_zero));
      }
    }
  }
}

TEST_CASE("NaN and infinity stay in their elements") {
  constexpr Index nan_at = 4;
  constexpr Index infinity_at = 11;
  for (const auto& family : families()) {
    for (const auto& from : family) {
      auto x = laid_out<double>(from, forward_numbers);
      x.modify([&](Tensor<double>& local) {
        const auto flats = held_elements(from, my_position(from));
        for (std::size_t i = 0; i < flats.size(); ++i) {
          if (member(from, my_position(from), Placement::Kind::partial).number > 0) continue;
          if (flats[i] == nan_at) local[static_cast<Index>(i)] = std::numeric_limits<double>::quiet_NaN();
          if (flats[i] == infinity_at) local[static_cast<Index>(i)] = std::numeric_limits<double>::infinity();
        }
      });
      for (const auto& to : family) {
        INFO(from.to_string() << " -> " << to.to_string());
        const auto moved = redistribute(x, to);
        const bool whole = member(to, 0, Placement::Kind::partial).of == 1;
        const auto flats = held_elements(to, my_position(to));
        REQUIRE(moved.local().elements() == static_cast<Index>(flats.size()));
        bool right = true;
        for (std::size_t i = 0; i < flats.size(); ++i) {
          const double value = moved.local()[static_cast<Index>(i)];
          if (flats[i] == nan_at) {
            right = right && (!whole || std::isnan(value));
          } else if (flats[i] == infinity_at) {
            right = right && (!whole || value == std::numeric_limits<double>::infinity());
          } else {
            right =
                right && std::isfinite(value) && (!whole || value == static_cast<double>(forward_numbers(flats[i])));
          }
        }
        CHECK(right);
      }
    }
  }
}

}  // namespace
}  // namespace tartan
