// Ids out of range on a CUDA device.

#include <cstdint>
#include <limits>
#include <optional>

#include "cuda_memory.hpp"
#include "kernels/ids.hpp"
#include "storage.hpp"
#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

template <class I>
void check_bad(const std::vector<I>& ids, const std::vector<Index>& bounds, std::optional<Index> allowed = {}) {
  Index expected = -2;
  find_bad_id(Cpu{}, ids.data(), std::ssize(ids), bounds, allowed, &expected);
  const auto ids_there = there(ids);
  Tensor<Index> found(Shape{1}, gpu());
  on(gpu(), [&](auto where) { find_bad_id(where, ids_there.data(), std::ssize(ids), bounds, allowed, found.data()); });
  INFO("ids " << ids.size() << " columns " << bounds.size());
  REQUIRE(back(found).front() == expected);
}

template <class I>
void check_columns(const std::vector<Index>& bounds, Index count) {
  std::vector<I> ids(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<I>(bounds[i % bounds.size()] - 1);
  check_bad(ids, bounds);
  // From the last to the first, so that earlier ones are found before later ones that stay bad.
  for (Index i = count - 1; i >= 0; i -= 1 + i / 3) {
    const auto bad = i % 2 == 0 ? Index{-1} : bounds[static_cast<std::size_t>(i) % bounds.size()];
    ids[static_cast<std::size_t>(i)] = static_cast<I>(bad);
    check_bad(ids, bounds);
  }
}

TEST_CASE("the first id out of range is found on a CUDA device", "[kernels][cuda]") {
  check_bad<std::int32_t>({}, {5});
  check_bad<Index>({0, std::numeric_limits<Index>::min(), std::numeric_limits<Index>::max()}, {5});
  check_bad<std::int32_t>({0, -100, 4, -100, -1}, {5}, -100);
  check_bad<Index>({0, 255, 3}, {5}, 255);
  for (const Index count : {1, 2, 33, 257, 20'000}) {
    check_columns<std::int32_t>({50}, count);
    check_columns<std::int64_t>({50}, count);
    check_columns<std::int64_t>({4, 1, 70}, count);
  }
  std::vector<Index> many;
  for (Index f = 0; f < 300; ++f) many.push_back(1 + f % 7);
  check_columns<std::int32_t>(many, 3000);
  check_columns<std::int64_t>(many, 1000);
}

}  // namespace
}  // namespace tartan::kernels
