#include "kernels/pooling.hpp"

#include "on_devices.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

/// Bags of 0 to 70 ids, the first and the last empty.
const std::vector<Index>& offsets() {
  static const std::vector<Index> all{0, 0, 1, 4, 4, 74, 75, 75};
  return all;
}
constexpr Index bag_count = 7;
constexpr Index id_count = 75;

std::vector<Index> bag_of_each() {
  std::vector<Index> result;
  for (Index b = 0; b < bag_count; ++b)
    result.resize(static_cast<std::size_t>(offsets()[static_cast<std::size_t>(b) + 1]), b);
  return result;
}

TEMPLATE_TEST_CASE("bags are named and sized", "[kernels]", std::int32_t, std::int64_t) {
  std::vector<TestType> ids;
  for (Index i = 0; i < id_count; ++i) ids.push_back(static_cast<TestType>(i % 5));
  for (const Device device : devices()) {
    INFO(device.to_string());
    const auto begins = put_on(device, offsets());
    const auto here = put_on(device, ids);
    Tensor<Index> bag(Shape{id_count}, device);
    on(device, [&](auto where) { name_bags(where, begins.data(), bag_count, bag.data()); });
    CHECK(brought_back(bag) == bag_of_each());
    for (const Index padding : {-1, 0, 3, 9}) {
      Tensor<Index> sizes(Shape{bag_count}, device);
      on(device, [&](auto where) { size_bags(where, here.data(), begins.data(), bag_count, padding, sizes.data()); });
      std::vector<Index> expected(bag_count);
      for (std::size_t i = 0; i < ids.size(); ++i)
        expected[static_cast<std::size_t>(bag_of_each()[i])] += static_cast<Index>(ids[i]) != padding;
      INFO("padding " << padding);
      CHECK(brought_back(sizes) == expected);
    }
  }
}

TEMPLATE_TEST_CASE("empty bags, shares of means and winners", "[kernels]", float, double, bfloat16, half) {
  using T = TestType;
  using A = Accumulator<T>;
  const std::vector<Index> sizes{0, 1, 3, 0, 70, 1, 0};
  for (const Device device : devices()) {
    INFO(device.to_string());
    const auto of_bags = put_on(device, sizes);
    const auto bag = put_on(device, bag_of_each());
    Tensor<A> shares(Shape{id_count}, device);
    on(device, [&](auto where) { share_bags(where, of_bags.data(), bag.data(), id_count, shares.data()); });
    std::vector<A> expected;
    for (const Index b : bag_of_each()) expected.push_back(A{1} / static_cast<A>(sizes[static_cast<std::size_t>(b)]));
    CHECK(alike(brought_back(shares), expected));

    for (const Index columns : {0, 1, 6, 40}) {
      INFO(columns << " columns");
      std::vector<T> rows;
      for (Index i = 0; i < bag_count * columns; ++i) rows.push_back(static_cast<T>(i + 1));
      auto filled = put_on(device, rows);
      on(device, [&](auto where) {
        fill_empty_bags(where, of_bags.data(), T(0.25), Matrix<T>{filled.data(), bag_count, columns, columns});
      });
      // Column c of bag b is won by an id of it, or by none.
      std::vector<Index> winners;
      std::vector<T> spread(static_cast<std::size_t>(id_count * columns), static_cast<T>(-0.0));
      auto after = rows;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto b = i / static_cast<std::size_t>(columns);
        const auto c = static_cast<Index>(i) % columns;
        if (sizes[b] == 0) after[i] = T(0.25);
        winners.push_back(sizes[b] == 0 ? -1 : offsets()[b] + c % sizes[b]);
        if (sizes[b] > 0) spread[static_cast<std::size_t>(winners.back() * columns + c)] = rows[i];
      }
      CHECK(alike(brought_back(filled), after));
      const auto won = put_on(device, winners);
      const auto upstream = put_on(device, rows);
      Tensor<T> hits(Shape{id_count, columns}, device);
      on(device, [&](auto where) {
        spread_to_winners(where, won.data(), Matrix<const T>{upstream.data(), bag_count, columns, columns},
                          Matrix<T>{hits.data(), id_count, columns, columns});
      });
      CHECK(alike(brought_back(hits), spread));
    }
  }
}

TEMPLATE_TEST_CASE("gradients of weights of ids that hit nothing", "[kernels]", float, double, bfloat16, half) {
  using T = TestType;
  const std::vector<std::int32_t> ids{4, 7, 2, 4, 9, 0};
  const std::vector<Index> names{3, 5, -1, 2, 8, 4};
  const std::vector<T> dots{T(1), T(2), T(3), T(4), T(5), T(6)};
  for (const Device device : devices()) {
    const auto here = put_on(device, ids);
    const auto named = put_on(device, names);
    auto out = put_on(device, dots);
    on(device, [&](auto where) {
      settle_hits(where, here.data(), named.data(), Index{3}, Index{3}, Index{4}, T{0}, Index{6}, out.data());
    });
    const T none = static_cast<T>(-0.0);
    CHECK(alike(brought_back(out), {T(0), T(2), none, T(0), none, T(6)}));
  }
}

}  // namespace
}  // namespace tartan::kernels
