// Bags of ids on a CUDA device against those of the CPU, bit for bit.

#include <limits>
#include <numeric>

#include "cuda_storage.hpp"
#include "kernels/bags.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

constexpr Index first_row = 90, rows = 23, padding = 95;
const std::vector<Index> some_bags{0, 0, 1, 5, 5, 6, 40, 41, 60, 61, 61};

/// Ids of the shard and around it, the padding among them.
template <class I>
std::vector<I> bag_ids(const std::vector<Index>& offsets) {
  auto ids = skewed_ids<I>(offsets.back(), first_row - 4, first_row + rows + 4);
  for (std::size_t i = 0; i < ids.size(); i += 20) ids[i] = static_cast<I>(padding);
  if (!ids.empty()) ids.back() = std::numeric_limits<I>::max();
  return ids;
}

template <class T, class I>
void check_bags(const std::vector<Index>& offsets, const Storage<T>& table, Index gap, Index offset) {
  const auto ids = bag_ids<I>(offsets);
  const Index bags = std::ssize(offsets) - 1, columns = table.read().columns;
  const Storage<T> factors{std::ssize(ids), 1, 0, 0, 4};
  std::vector<Index> counts(static_cast<std::size_t>(bags));
  std::iota(counts.begin(), counts.end(), 1);
  const auto ids_there = there(ids);
  const auto offsets_there = there(offsets);
  const auto divisors_there = there(counts);
  const CudaStorage<T> table_there(table), factors_there(factors);
  INFO("bags " << bags << " columns " << columns << " gap " << gap << " offset " << offset);
  for (const Index skipped : {Index{-1}, padding}) {
    for (const bool weighted : {false, true}) {
      Storage<T> expected{bags, columns, gap, offset};
      CudaStorage<T> out(expected);
      const Index* const divisors = weighted ? nullptr : counts.data();
      sum_bags(Cpu{}, table.read(), first_row, ids.data(), offsets.data(), weighted ? factors.read().data : nullptr,
               divisors, skipped, expected.view());
      on(gpu(), [&](auto where) {
        sum_bags(where, table_there.read(), first_row, ids_there.data(), offsets_there.data(),
                 weighted ? factors_there.read().data : nullptr, weighted ? nullptr : divisors_there.data(), skipped,
                 out.view());
      });
      REQUIRE(out == expected);
    }
    Storage<T> expected{bags, columns, gap, offset};
    CudaStorage<T> out(expected);
    std::vector<Index> winners(bags * columns);
    auto winners_there = there(winners);
    max_bags(Cpu{}, table.read(), first_row, ids.data(), offsets.data(), skipped, expected.view(), winners.data());
    on(gpu(), [&](auto where) {
      max_bags(where, table_there.read(), first_row, ids_there.data(), offsets_there.data(), skipped, out.view(),
               winners_there.data());
    });
    REQUIRE(out == expected);
    REQUIRE(back(winners_there) == winners);
  }
}

template <class T, class I>
void check_widths() {
  for (const Index columns : widths()) {
    check_bags<T, I>(some_bags, Storage<T>{rows, columns, columns % 3, columns % 5}, columns % 4, columns % 7);
  }
}

TEST_CASE("bags on a CUDA device are those of the CPU", "[kernels][cuda]") {
  check_widths<float, std::int32_t>();
  check_widths<double, std::int64_t>();
  check_widths<bfloat16, std::int64_t>();
  check_widths<half, std::int32_t>();
  for (const Index columns : {4, 16, 128, 512}) {  // where rows are read by 16 bytes
    check_bags<float, std::int64_t>(some_bags, Storage<float>{rows, columns, 4, 8}, 8, 4);
    check_bags<double, std::int32_t>(some_bags, Storage<double>{rows, columns}, 2, 0);
    check_bags<float, std::int64_t>(some_bags, Storage<float>{0, columns}, 0, 0);
  }
  check_bags<double, std::int32_t>({0}, Storage<double>{rows, 5}, 0, 0);
}

TEST_CASE("more bags than a CUDA device has threads at once", "[kernels][cuda]") {
  std::vector<Index> offsets{0};
  for (Index b = 0; b < 6000; ++b) offsets.push_back(offsets.back() + b % 5);
  check_bags<float, std::int64_t>(offsets, Storage<float>{rows, 12}, 0, 0);
}

TEST_CASE("on a CUDA device the first of equal hits wins, and a NaN only where it comes first", "[kernels][cuda]") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const auto table = there(std::vector<float>{1, nan, 2, -0.0f, 1, 3, 2, 0.0f});
  const auto ids = there(std::vector<Index>{0, 1, 0, 1, 0});
  const auto offsets = there(std::vector<Index>{0, 3, 5});
  const std::vector<float> unset(8, 9);
  auto out = there(unset);
  auto winners = there(std::vector<Index>(8));
  on(gpu(), [&](auto where) {
    max_bags(where, Matrix<const float>{table.data(), 2, 4, 4}, 0, ids.data(), offsets.data(), -1,
             Matrix<float>{out.data(), 2, 4, 4}, winners.data());
  });
  CHECK(same_bits(back(out), std::vector<float>{1, nan, 2, -0.0f, 1, 3, 2, 0.0f}));
  CHECK(back(winners) == std::vector<Index>{0, 0, 0, 0, 3, 3, 3, 3});
}

template <class T, class I>
void check_hit_dots(Index columns, Index gap, Index offset) {
  const auto ids = bag_ids<I>(some_bags);
  const auto count = std::ssize(ids);
  const Storage<T> table{rows, columns, gap, offset}, upstream{count, columns, gap, offset, 6};
  const auto source = skewed_ids<Index>(count, 0, count, 5);
  const CudaStorage<T> table_there(table), upstream_there(upstream);
  const auto ids_there = there(ids);
  const auto source_there = there(source);
  INFO("columns " << columns << " gap " << gap << " offset " << offset);
  for (const bool named : {false, true}) {
    std::vector<T> expected(static_cast<std::size_t>(count));
    auto out = there(expected);
    hit_dots(Cpu{}, table.read(), first_row, ids.data(), count, upstream.read(), named ? source.data() : nullptr,
             expected.data());
    on(gpu(), [&](auto where) {
      hit_dots(where, table_there.read(), first_row, ids_there.data(), count, upstream_there.read(),
               named ? source_there.data() : nullptr, out.data());
    });
    REQUIRE(same_bits(back(out), expected));
  }
}

TEST_CASE("the dots of hits on a CUDA device are those of the CPU", "[kernels][cuda]") {
  for (const Index columns : widths()) {
    check_hit_dots<float, std::int32_t>(columns, columns % 4, columns % 5);
    check_hit_dots<double, std::int64_t>(columns, columns % 2, 0);
    check_hit_dots<bfloat16, std::int32_t>(columns, columns % 3, columns % 5);
    check_hit_dots<half, std::int64_t>(columns, 0, 0);
  }
  for (const Index columns : {4, 12, 16, 20, 64, 68, 512}) check_hit_dots<float, std::int64_t>(columns, 4, 8);
}

}  // namespace
}  // namespace tartan::kernels
