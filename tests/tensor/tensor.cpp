#include <tartan/device/cuda.hpp>
#include <tartan/tensor/tensor.hpp>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using testing::error_text;

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

TEMPLATE_TEST_CASE("copies of a tensor share its elements, clones do not", "", float, double, std::int32_t,
                   std::int64_t) {
  Tensor<TestType> tensor({2, 3}, TestType{7});
  const auto copy = tensor;
  const auto clone = tensor.clone();
  tensor[4] = TestType{9};
  CHECK(copy.data() == tensor.data());
  CHECK(copy[4] == TestType{9});
  CHECK(clone.data() != tensor.data());
  CHECK(clone[4] == TestType{7});
  CHECK(clone.shape() == Shape{2, 3});
  tensor.fill(TestType{1});
  CHECK(std::accumulate(copy.span().begin(), copy.span().end(), TestType{}) == TestType{6});
  CHECK(std::accumulate(clone.span().begin(), clone.span().end(), TestType{}) == TestType{42});
}

TEST_CASE("a tensor outlives the copy it was made from") {
  Tensor<double> kept;
  {
    const Tensor<double> tensor({4}, 2.5);
    kept = tensor.reshaped({2, 2});
  }
  CHECK(kept[3] == 2.5);
}

template <class X>
concept HasSpan = requires(X&& x) {
  std::forward<X>(x).span();
};

TEST_CASE("a temporary tensor has no span, which would outlive its memory") {
  STATIC_REQUIRE(HasSpan<Tensor<float>&>);
  STATIC_REQUIRE(HasSpan<const Tensor<float>&>);
  STATIC_REQUIRE_FALSE(HasSpan<Tensor<float>>);
  STATIC_REQUIRE_FALSE(HasSpan<const Tensor<float>>);
}

TEST_CASE("a view works in the caller's memory") {
  std::vector<float> memory(6);
  std::iota(memory.begin(), memory.end(), 0.0f);
  auto view = Tensor<float>::view({2, 3}, memory.data());
  CHECK(view.data() == memory.data());
  CHECK(view[5] == 5.0f);
  view[0] = 42;
  CHECK(memory[0] == 42.0f);
  memory[1] = 43;
  CHECK(view.reshaped({6})[1] == 43.0f);
  const auto clone = view.clone();
  memory[2] = -1;
  CHECK(clone[2] == 2.0f);
}

TEST_CASE("elements are copied from values of the right number") {
  const std::vector<std::int64_t> values{1, 2, 3, 4, 5, 6};
  const auto tensor = Tensor<std::int64_t>::from({3, 2}, values);
  CHECK(std::vector<std::int64_t>(tensor.span().begin(), tensor.span().end()) == values);
  CHECK(error_text([&] { Tensor<std::int64_t>::from({2, 2}, values); }) == "6 values were given for the shape (2, 2)");
}

TEST_CASE("another shape of as many elements") {
  const Tensor<double> tensor({2, 6}, 1);
  const auto reshaped = tensor.reshaped({3, 4});
  CHECK(reshaped.shape() == Shape{3, 4});
  CHECK(reshaped.data() == tensor.data());
  CHECK(tensor.shape() == Shape{2, 6});
  CHECK(error_text([&] { tensor.reshaped({5}); }) == "12 elements of the shape (2, 6) cannot take the shape (5)");
  CHECK(Tensor<double>({1, 1}, 3).reshaped(Shape())[0] == 3);
}

TEST_CASE("tensors without elements or without dimensions") {
  const Tensor<float> none;
  CHECK(none.shape() == Shape{0});
  CHECK(none.elements() == 0);
  CHECK(none.span().empty());
  CHECK(none.clone().shape() == Shape{0});
  CHECK(Tensor<float>({3, 0}).clone().shape() == Shape{3, 0});
  Tensor<float> scalar(Shape(), 2.0f);
  CHECK(scalar.elements() == 1);
  CHECK(scalar.clone()[0] == 2.0f);
}

TEST_CASE("owned memory is aligned, from 4 MiB up to huge pages") {
  for (const Index n : {1, 3, 17, 1000}) CHECK(address(Tensor<float>({n}).data()) % Buffer::alignment == 0);
  Buffer large((Index{4} << 20));
  CHECK(address(large.data()) % (std::uintptr_t{1} << 21) == 0);
  large.data()[large.bytes() - 1] = std::byte{7};
  CHECK(large.data()[large.bytes() - 1] == std::byte{7});
  CHECK(Buffer(0).data() == nullptr);
}

TEST_CASE("impossible buffers are refused") {
  CHECK_THROWS_AS(Buffer(-1), Error);
  CHECK_THROWS_AS(Buffer(8, Device::cuda(1000)), Error);
  if (!cuda::built_in()) {
    CHECK(error_text([] { Buffer(8, Device::cuda(1)); }) ==
          "nothing can be done on cuda:1: this build of Tartan has CPU support only (configure with -DTARTAN_CUDA=ON)");
  }
  CHECK_THROWS_AS(Tensor<double>(Shape{Index{1} << 61}), Error);  // the bytes do not fit 64 bits
  CHECK(Device{}.to_string() == "cpu");
  CHECK(Device::cuda(2).to_string() == "cuda:2");
}

TEST_CASE("the additive identity changes no number, not even -0.0") {
  for (const double x : {0.0, -0.0, 1.5}) {
    CHECK(x + additive_identity<double>() == x);
    CHECK(std::signbit(x + additive_identity<double>()) == std::signbit(x));
    const auto f = static_cast<float>(x);
    CHECK(std::signbit(f + additive_identity<float>()) == std::signbit(f));
  }
  CHECK(additive_identity<std::int32_t>() == 0);
}

}  // namespace
}  // namespace tartan
