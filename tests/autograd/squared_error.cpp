// The mean squared error in every placement but Partial.

#include <tartan/autograd/losses.hpp>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

double target_at(Index flat) { return static_cast<double>(flat * flat % 7); }

Operation squared_error(LossReduction reduction) {
  return {"the squared error",
          {{3, 5}},
          [=](const Inputs& x) {
            const auto target = [](std::span<const Index> i) { return target_at(i[0] * 5 + i[1]); };
            return mean_squared_error(x[0], DistributedTensor<double>::from_function(x[0].distribution(), target),
                                      reduction);
          },
          [=](const std::vector<Flat>& x) {
            double sum = 0;
            for (std::size_t i = 0; i < x[0].size(); ++i) {
              const double difference = x[0][i] - target_at(static_cast<Index>(i));
              sum += difference * difference;
            }
            return Flat{reduction == LossReduction::sum ? sum : sum / static_cast<double>(x[0].size())};
          },
          Order::other,
          0.25};
}

TEST_CASE("the mean squared error and its sum in any placement but Partial") {
  for (const auto reduction : {LossReduction::mean, LossReduction::sum}) {
    for (const auto& partition : partitions()) {
      check_single(squared_error(reduction), partition, false);
    }
  }
}

TEST_CASE("the squared error refuses targets that are placed otherwise, on every rank") {
  const auto topology = Partition(world()).cartesian({world().size()});
  SameTexts texts;
  const Variable<double> x(DistributedTensor<double>::zeros({topology, {3, 5}, {Shard{0}}}));
  for (const auto& y : {Distribution(topology, {3, 5}, {Shard{1}}), Distribution(topology, {5, 3}, {Shard{0}})}) {
    const auto text = texts.of([&] { mean_squared_error(x, DistributedTensor<double>::zeros(y)); });
    CHECK(contains(text, x.distribution().to_string()));
    CHECK(contains(text, y.to_string()));
    CHECK(contains(text, "redistribute(y, [Shard(0)])") == (y.shape() == x.shape()));
  }
  CHECK(contains(texts.of([&] { mean_squared_error(x, x.value(), LossReduction::none); }), "one number: mean or sum"));
  texts.verify();
}

}  // namespace
}  // namespace tartan
