#include "kernels/bags.hpp"

#include <limits>
#include <numeric>

#include "kernels/cpu/reference.hpp"
#include "storage.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

constexpr Index first_row = 90, rows = 23, padding = 95;
const std::vector<Index> offsets{0, 0, 1, 5, 5, 6, 40, 41, 60, 61, 61};

/// Ids of the shard and around it, the padding among them; bags of 0, 1 and many, the last but one without a hit.
template <class I>
std::vector<I> bag_ids() {
  auto ids = skewed_ids<I>(offsets.back(), first_row - 4, first_row + rows + 4);
  ids[40] = padding;
  ids[60] = std::numeric_limits<I>::max();
  return ids;
}

template <class T, class I>
void check_bags(Index columns) {
  const auto ids = bag_ids<I>();
  const Index bags = std::ssize(offsets) - 1;
  const Storage<T> table{rows, columns, columns % 3, columns % 5}, factors{std::ssize(ids), 1, 0, 0, 4};
  std::vector<Index> divisors(bags);
  std::iota(divisors.begin(), divisors.end(), 2);
  INFO("columns " << columns);
  for (const Index skipped : {Index{-1}, padding}) {
    for (const T* factor : {static_cast<const T*>(nullptr), factors.read().data}) {
      const Index* const divisor = factor == nullptr ? divisors.data() : nullptr;
      Storage<T> out{bags, columns, columns % 4, columns % 7}, expected = out;
      sum_bags(Cpu{}, table.read(), first_row, ids.data(), offsets.data(), factor, divisor, skipped, out.view());
      reference::sum_bags(table.read(), first_row, ids.data(), offsets.data(), factor, divisor, skipped,
                          expected.view());
      REQUIRE(out == expected);
    }
    Storage<T> out{bags, columns, columns % 4, columns % 7}, expected = out;
    std::vector<Index> winners(bags * columns), expected_winners(bags * columns);
    max_bags(Cpu{}, table.read(), first_row, ids.data(), offsets.data(), skipped, out.view(), winners.data());
    reference::max_bags(table.read(), first_row, ids.data(), offsets.data(), skipped, expected.view(),
                        expected_winners.data());
    REQUIRE(out == expected);
    REQUIRE(winners == expected_winners);
  }
}

TEST_CASE("bags are the reference's, bit by bit", "[kernels]") {
  for (const Index columns : widths()) {
    check_bags<float, std::int32_t>(columns);
    check_bags<float, std::int64_t>(columns);
    check_bags<double, std::int32_t>(columns);
    check_bags<double, std::int64_t>(columns);
  }
}

TEST_CASE("bags without a hit are -0.0, the largest 0.0", "[kernels]") {
  const std::vector<std::int32_t> ids{4, 200, 95};
  const std::vector<Index> bounds{0, 2, 3, 3};
  const Storage<double> table{rows, 5};
  Storage<double> out{3, 5};
  sum_bags(Cpu{}, table.read(), first_row, ids.data(), bounds.data(), nullptr, nullptr, padding, out.view());
  for (Index i = 0; i < 15; ++i) REQUIRE(same_bits(out.view().data[i], -0.0));
  std::vector<Index> winners(15);
  max_bags(Cpu{}, table.read(), first_row, ids.data(), bounds.data(), padding, out.view(), winners.data());
  for (Index i = 0; i < 15; ++i) REQUIRE(same_bits(out.view().data[i], 0.0));
  REQUIRE(winners == std::vector<Index>(15, -1));
  const Index none = 0;
  sum_bags(Cpu{}, table.read(), first_row, ids.data(), &none, nullptr, nullptr, padding,
           Matrix<double>{nullptr, 0, 5, 5});
}

TEST_CASE("the first of equal hits wins, and a NaN only where it comes first", "[kernels]") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> table{1, nan, 2, -0.0f, 1, 3, 2, 0.0f};
  const std::vector<Index> ids{0, 1, 0}, bounds{0, 3};
  std::vector<float> out(4);
  std::vector<Index> winners(4);
  max_bags(Cpu{}, Matrix<const float>{table.data(), 2, 4, 4}, 0, ids.data(), bounds.data(), -1,
           Matrix<float>{out.data(), 1, 4, 4}, winners.data());
  CHECK(out[0] == 1);
  CHECK(std::isnan(out[1]));
  CHECK(out[2] == 2);
  CHECK(same_bits(out[3], -0.0f));
  CHECK(winners == std::vector<Index>{0, 0, 0, 0});

  const std::vector<Index> turned{1, 0};
  const std::vector<Index> two{0, 2};
  max_bags(Cpu{}, Matrix<const float>{table.data(), 2, 4, 4}, 0, turned.data(), two.data(), -1,
           Matrix<float>{out.data(), 1, 4, 4}, winners.data());
  CHECK(out[1] == 3);
  CHECK(winners[1] == 0);
}

template <class T, class I>
void check_hit_dots(Index columns) {
  const auto ids = bag_ids<I>();
  const auto count = std::ssize(ids);
  const Storage<T> table{rows, columns, columns % 3, columns % 5}, upstream{count, columns, 1, 2, 6};
  const auto source = skewed_ids<Index>(count, 0, count, 5);
  Storage<T> out{count, 1}, unnamed{count, 1};
  hit_dots(Cpu{}, table.read(), first_row, ids.data(), count, upstream.read(), source.data(), out.view().data);
  hit_dots(Cpu{}, table.read(), first_row, ids.data(), count, upstream.read(), nullptr, unnamed.view().data);
  for (Index i = 0; i < count; ++i) {
    const auto id = static_cast<Index>(ids[i]);
    const auto expected = [&](Index j) {
      T result = static_cast<T>(-0.0);
      if (id < first_row || id >= first_row + rows) return result;
      reference::row_dots(Matrix<const T>{table.read().row(id - first_row), 1, columns, columns},
                          Matrix<const T>{upstream.read().row(j), 1, columns, columns}, &result);
      return result;
    };
    INFO("columns " << columns << " hit " << i);
    REQUIRE(same_bits(out.view().data[i], expected(source[i])));
    REQUIRE(same_bits(unnamed.view().data[i], expected(i)));
  }
}

TEST_CASE("the dots of hits are row dots", "[kernels]") {
  for (const Index columns : widths()) {
    check_hit_dots<float, std::int32_t>(columns);
    check_hit_dots<float, std::int64_t>(columns);
    check_hit_dots<double, std::int32_t>(columns);
    check_hit_dots<double, std::int64_t>(columns);
  }
}

}  // namespace
}  // namespace tartan::kernels
