#include <numeric>
#include <vector>

#include <tartan/tensor/tensor.hpp>

#include "kernels/boxes.hpp"
#include "support/catch.hpp"

using namespace tartan;

namespace {

template <class T>
Tensor<T> numbered(Shape shape) {
  Tensor<T> tensor(std::move(shape));
  std::iota(tensor.span().begin(), tensor.span().end(), T{1});
  return tensor;
}

}  // namespace

// The last case is large enough to pass by the cache.
TEMPLATE_TEST_CASE("columns are split into blocks of their own and joined again", "", float, double, std::int32_t,
                   std::int64_t) {
  struct Case {
    Index rows;
    std::vector<Index> widths;
  };
  for (const auto& [rows, widths] : {Case{0, {2, 1}}, Case{1, {3, 0, 2}}, Case{7, {1, 2, 0, 5}}, Case{3, {4, 8}},
                                     Case{2000, {16, 1, 7}}, Case{1 << 16, {64, 16}}}) {
    const Index columns = std::reduce(widths.begin(), widths.end());
    const auto matrix = numbered<TestType>(Shape{rows, columns});
    Tensor<TestType> blocks(Shape{rows * columns});
    kernels::split_columns(kernels::Cpu{}, matrix.data(), rows, widths, blocks.data());
    Index flat = 0;
    Index wrong = 0;
    Index first = 0;
    for (const Index width : widths) {
      for (Index row = 0; row < rows; ++row) {
        for (Index i = 0; i < width; ++i) wrong += blocks[flat++] != matrix[row * columns + first + i];
      }
      first += width;
    }
    CHECK(wrong == 0);

    Tensor<TestType> joined(matrix.shape(), TestType{});
    kernels::join_columns(kernels::Cpu{}, std::as_const(blocks).data(), rows, widths, joined.data());
    CHECK(std::ranges::equal(joined.span(), matrix.span()));
  }
}

TEST_CASE("a part of a box too large for the cache is copied whole, and nothing beside it") {
  const Box source_box({{0, 30000}, {1, 2}, {32, 112}});
  const Box target_box({{10, 29000}, {1, 3}, {16, 128}});
  const Box part({{20, 28990}, {1, 2}, {32, 112}});
  const auto source = numbered<double>(source_box.shape());
  Tensor<double> target(target_box.shape(), -1.0);
  kernels::copy_box(kernels::Cpu{}, source.data(), source_box, target.data(), target_box, part);
  Index wrong = 0;
  Index flat = 0;
  for (Index i = 10; i < 29000; ++i) {
    for (Index j = 1; j < 3; ++j) {
      for (Index k = 16; k < 128; ++k) {
        const bool inside = part[0].contains(i) && part[1].contains(j) && part[2].contains(k);
        wrong += target[flat++] != (inside ? source[i * 80 + k - 32] : -1.0);
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("freed memory serves the next buffer of like size, unless nothing may be kept") {
  constexpr Index bytes = 3 << 20;
  const auto address_of_one = [](Index size) { return Buffer(size).data(); };
  Buffer::keep_at_most(0);
  Buffer::keep_at_most(8 << 20);
  const auto* first = address_of_one(bytes);
  CHECK(Buffer(bytes - 100).data() == first);
  {
    const Buffer one(bytes);
    const Buffer two(bytes);
    CHECK(one.data() == first);
    CHECK(two.data() != first);
  }
  const Buffer tiny(1 << 16);
  CHECK(tiny.data() != first);
  CHECK_THROWS_AS(Buffer::keep_at_most(-1), Error);
  Buffer::keep_at_most(128 << 20);
}
