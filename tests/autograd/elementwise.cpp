// Differences and multiples in every legal placement against plain loops on whole arrays; what is not legal is
// refused.

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

Operation minus() {
  return {"a difference",
          {{3, 5}, {3, 5}},
          [](const Inputs& x) { return x[0] - x[1]; },
          [](const std::vector<Flat>& x) {
            Flat out;
            for (std::size_t i = 0; i < x[0].size(); ++i) out.push_back(x[0][i] - x[1][i]);
            return out;
          }};
}

Operation multiple() {
  return {"a multiple",
          {{3, 5}},
          [](const Inputs& x) { return -3.0 * x[0]; },
          [](const std::vector<Flat>& x) {
            Flat out;
            for (const double value : x[0]) out.push_back(-3 * value);
            return out;
          }};
}

Operation multiple_from_the_right() {
  auto operation = multiple();
  operation.apply = [](const Inputs& x) { return x[0] * -3.0; };
  return operation;
}

Operation negative() {
  return {"a negative",
          {{3, 5}},
          [](const Inputs& x) { return -x[0]; },
          [](const std::vector<Flat>& x) {
            Flat out;
            for (const double value : x[0]) out.push_back(-value);
            return out;
          }};
}

TEST_CASE("a multiple of a tensor in any placement") {
  for (const auto& partition : partitions()) check_single(multiple(), partition, true);
}

TEST_CASE("a multiple from the right, and a negative") {
  for (const auto& partition : partitions()) {
    check_single(multiple_from_the_right(), partition, true);
    check_single(negative(), partition, true);
  }
}

TEST_CASE("a difference takes operands that are placed alike") {
  for (const auto& partition : partitions()) {
    check_pairs(minus(), partition, [](Placement a, Placement b) { return a == b; });
  }
}

TEST_CASE("operations in float are rounded once per number") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const Distribution d(topology, {7}, {Shard{0}});
  const auto x = DistributedTensor<float>::from_function(d, [](auto i) { return 0.1F * static_cast<float>(i[0] + 1); });
  const Variable<float> v(x);
  const auto local = x.local_on_host();
  const auto product = (v * v).value().local_on_host();
  const auto scaled = (0.3F * v).value().local_on_host();
  for (Index i = 0; i < local.elements(); ++i) {
    CHECK(product[i] == local[i] * local[i]);
    CHECK(scaled[i] == 0.3F * local[i]);
  }
}

}  // namespace
}  // namespace tartan
