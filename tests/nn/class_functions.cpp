// Log-sum-exp and entropy of rows that are cut, also where ranks are outside the grid, and of extreme numbers.

#include <tartan/nn/cross_entropy.hpp>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr std::size_t columns = 5;

Operation row_by_row(const std::string& name, const Shape& shape) {
  const bool entropy = name == "entropy";
  return {name,
          {shape},
          [=](const Inputs& x) { return entropy ? functional::entropy(x[0]) : functional::log_sum_exp(x[0]); },
          [=](const std::vector<Flat>& x) {
            Flat out;
            for (std::size_t begin = 0; begin < x[0].size(); begin += columns) {
              double sum = 0, product = 0;
              for (std::size_t i = begin; i < begin + columns; ++i) {
                sum += std::exp(x[0][i]);
                product += std::exp(x[0][i]) * x[0][i];
              }
              out.push_back(entropy ? std::log(sum) - product / sum : std::log(sum));
            }
            return out;
          },
          Order::other,
          0.0625};
}

TEST_CASE("log_sum_exp and entropy of rows and vectors in every placement, on all ranks and on all but one") {
  for (const std::string name : {"log_sum_exp", "entropy"}) {
    for (const auto& partition : partitions()) {
      check_cells(row_by_row(name, {4, 2, columns}), partition, {{Shard{0}}, {Shard{1}}, {Shard{2}}, {Replicate{}}});
      check_cells(row_by_row(name, {columns}), partition, {{Shard{0}}, {Replicate{}}});
    }
  }
}

TEST_CASE("log_sum_exp of extreme logits: far apart, -infinity, +infinity, NaN") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<Flat> rows{
      {1000, -1000, 1000}, {-INFINITY, 3, -INFINITY}, {-INFINITY, -INFINITY, -INFINITY}, {INFINITY, 0, 1}, {0, nan, 1}};
  const Distribution d(Partition(world()).cartesian({world().size()}), {std::ssize(rows), 3}, {Shard{1}});
  const auto x = DistributedTensor<double>::from_function(
      d, [&](auto i) { return rows[static_cast<std::size_t>(i[0])][static_cast<std::size_t>(i[1])]; });
  const auto sums = functional::log_sum_exp(Variable<double>(x)).value().local_on_host();
  CHECK(sums[0] == Approx(1000 + std::log(2)).epsilon(1e-14));
  CHECK(sums[1] == 3);
  CHECK(sums[2] == -INFINITY);
  CHECK(std::isnan(sums[3]));
  CHECK(std::isnan(sums[4]));
}

}  // namespace
}  // namespace tartan
