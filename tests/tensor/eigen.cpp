#include <bit>
#include <cstdint>
#include <numeric>
#include <utility>

#include <tartan/base/half_types.hpp>
#include <tartan/base/random.hpp>
#include <tartan/tensor/eigen.hpp>

#include "support/catch.hpp"

using namespace tartan;

TEST_CASE("Eigen sees a tensor's rows and columns where they are") {
  Tensor<double> tensor(Shape{3, 2});
  std::iota(tensor.span().begin(), tensor.span().end(), 1.0);

  auto matrix = matrix_map(tensor);
  REQUIRE(matrix.rows() == 3);
  REQUIRE(matrix.cols() == 2);
  CHECK(matrix(2, 0) == 5.0);
  CHECK((matrix.transpose() * matrix)(0, 1) == 1 * 2 + 3 * 4 + 5 * 6);
  matrix(1, 1) = -4.0;
  CHECK(tensor[3] == -4.0);

  const Tensor<double> constant = tensor;
  CHECK(matrix_map(constant).data() == tensor.data());
}

TEST_CASE("a 1-d tensor is an Eigen vector") {
  Tensor<float> tensor(Shape{4}, 0.5f);
  vector_map(tensor)[2] = 3.0f;
  CHECK(tensor[2] == 3.0f);
  const Tensor<float>& constant = tensor;
  CHECK(vector_map(constant).sum() == 4.5f);
}

TEST_CASE("tensors of half types are Eigen's matrices of theirs") {
  Tensor<bfloat16> tensor(Shape{2, 2}, bfloat16(1.5F));
  matrix_map(tensor)(1, 0) = Eigen::bfloat16(-3.0F);
  CHECK(tensor[2] == -3);
  Tensor<half> vector(Shape{3}, half(0.25F));
  const Tensor<half>& constant = vector;
  CHECK(static_cast<float>(vector_map(constant).sum()) == 0.75F);
}

TEST_CASE("an Eigen map of another number of dimensions is refused") {
  Tensor<double> tensor(Shape{2, 3, 4});
  CHECK_THROWS_AS(matrix_map(tensor), Error);
  CHECK_THROWS_AS(vector_map(tensor), Error);
  const Tensor<double> matrix(Shape{2, 3});
  CHECK_THROWS_AS(vector_map(matrix), Error);
}

TEMPLATE_TEST_CASE("half types are Eigen's, bit for bit", "", (std::pair<bfloat16, Eigen::bfloat16>),
                   (std::pair<half, Eigen::half>)) {
  using Ours = typename TestType::first_type;
  using Eigens = typename TestType::second_type;
  static_assert(sizeof(Ours) == sizeof(Eigens) && alignof(Ours) == alignof(Eigens));
  int wrong = 0;
  for (int b = 0; b < 65536; ++b) {
    const auto bits = static_cast<std::uint16_t>(b);
    const auto ours = static_cast<float>(Ours::from_bits(bits));
    const auto eigens = static_cast<float>(Eigen::numext::bit_cast<Eigens>(bits));
    wrong += std::bit_cast<std::uint32_t>(ours) != std::bit_cast<std::uint32_t>(eigens);
  }
  REQUIRE(wrong == 0);

  const RandomStream random(1, "bits of floats");
  for (Index i = 0; i < 250'000; ++i) {
    for (const std::uint32_t bits : random.bits(i)) {
      // Any float, and one in the range of half.
      for (const std::uint32_t b : {bits, (bits & 0x8fffffff) | 0x30000000}) {
        const auto x = std::bit_cast<float>(b);
        wrong += Ours(x).bits != Eigen::numext::bit_cast<std::uint16_t>(Eigens(x));
      }
    }
  }
  REQUIRE(wrong == 0);
}
