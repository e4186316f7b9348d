#include <numeric>

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

TEST_CASE("an Eigen map of another number of dimensions is refused") {
  Tensor<double> tensor(Shape{2, 3, 4});
  CHECK_THROWS_AS(matrix_map(tensor), Error);
  CHECK_THROWS_AS(vector_map(tensor), Error);
  const Tensor<double> matrix(Shape{2, 3});
  CHECK_THROWS_AS(vector_map(matrix), Error);
}
