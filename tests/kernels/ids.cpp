#include "kernels/ids.hpp"

#include <cstdint>
#include <limits>
#include <vector>

#include "support/catch.hpp"

namespace tartan::kernels {
namespace {

template <class I>
Index first_bad(const std::vector<I>& ids, const std::vector<Index>& bounds) {
  Index position = -2;
  find_bad_id(Cpu{}, ids.data(), std::ssize(ids), bounds, {}, &position);
  return position;
}

TEST_CASE("the first id out of range is found", "[kernels]") {
  CHECK(first_bad<std::int32_t>({}, {5}) == -1);
  CHECK(first_bad<std::int32_t>({0, 4, 3}, {5}) == -1);
  CHECK(first_bad<std::int32_t>({0, 5, -1}, {5}) == 1);
  CHECK(first_bad<std::int64_t>({0, 4, std::numeric_limits<Index>::min()}, {5}) == 2);
  CHECK(first_bad<std::int64_t>({std::numeric_limits<Index>::max()}, {std::numeric_limits<Index>::max()}) == 0);
}

TEST_CASE("an id that is allowed is never a bad one", "[kernels]") {
  const std::vector<std::int64_t> ids{0, -100, 4, -100, -1};
  const std::vector<Index> bounds{5};
  Index position = -2;
  find_bad_id(Cpu{}, ids.data(), 5, bounds, -100, &position);
  CHECK(position == 4);
  find_bad_id(Cpu{}, ids.data(), 4, bounds, -100, &position);
  CHECK(position == -1);
}

TEST_CASE("the first id out of the range of its column is found", "[kernels]") {
  CHECK(first_bad<std::int64_t>({1, 2, 3, 1, 2, 3}, {2, 3, 4}) == -1);
  CHECK(first_bad<std::int64_t>({1, 2, 3, 2, 2, 3}, {2, 3, 4}) == 3);
  CHECK(first_bad<std::int32_t>({1, 2, 3, 1, 2, 4}, {2, 3, 4}) == 5);
  CHECK(first_bad<std::int32_t>({1, 2, 3, 1, 3}, {2, 3, 4}) == 4);  // the last row is not complete
}

}  // namespace
}  // namespace tartan::kernels
