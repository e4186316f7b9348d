// Dropout by global position.

#include "kernels/dropout.hpp"

#include <tartan/base/random.hpp>

#include "rounded.hpp"

namespace tartan::kernels {
namespace {

using namespace testing;

TEMPLATE_TEST_CASE("parts of a tensor are masked as the whole is, on every device", "[kernels]", float, double,
                   bfloat16, half) {
  using T = TestType;
  const RandomStream stream(7, "mask");
  const DropoutMask mask{stream.seed(), stream.hashed_name(), std::uint64_t{1} << 31, 2};
  const Shape shape{3, 4, 9};
  const auto all = drawn<T>(shape.elements(), 1);
  for (const auto device : devices()) {
    for (const auto& box :
         {Box(shape), Box({{1, 3}, {0, 4}, {2, 7}}), Box({{2, 3}, {1, 1}, {0, 9}}), Box({{0, 3}, {3, 4}, {8, 9}})}) {
      std::vector<T> x, expected;
      for (Index i = box[0].begin; i < box[0].end; ++i) {
        for (Index k = box[1].begin; k < box[1].end; ++k) {
          for (Index c = box[2].begin; c < box[2].end; ++c) {
            const Index flat = (i * 4 + k) * 9 + c;
            const bool stays = stream.bits(flat / 4)[static_cast<std::size_t>(flat % 4)] >= std::uint32_t{1} << 31;
            x.push_back(all[static_cast<std::size_t>(flat)]);
            expected.push_back(stays ? static_cast<T>(2 * static_cast<double>(x.back())) : T{});
          }
        }
      }
      auto there = put_on(device, x);
      on(device, [&](auto where) { dropout(where, there.data(), box, shape, mask, there.data()); });
      CHECK(alike(brought_back(there), expected));
    }
  }
}

}  // namespace
}  // namespace tartan::kernels
