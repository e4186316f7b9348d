// Dropout by global position: the same mask on every grid and in every placement, never kept.

#include <tartan/autograd/dropout.hpp>
#include <tartan/base/random.hpp>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

const RandomStream stream(5, "a mask");

/// Position `flat` stays where the 32 bits that it has of the stream, four positions to a block, are not below p·2^32.
double factor_at(Index flat, double p) {
  const auto bits = stream.bits(flat / 4)[static_cast<std::size_t>(flat % 4)];
  return static_cast<double>(bits) < p * 0x1p32 ? 0 : 1 / (1 - p);
}

Operation half_dropped(Shape shape) {
  return {"dropout",
          {std::move(shape)},
          [](const Inputs& x) { return dropout(x[0], 0.5, stream); },
          [](const std::vector<Flat>& x) {
            Flat out;
            for (std::size_t i = 0; i < x[0].size(); ++i) {
              out.push_back(x[0][i] * factor_at(static_cast<Index>(i), 0.5));
            }
            return out;
          }};
}

TEST_CASE("dropout in any placement, Partial too") {
  for (const auto& shape : {Shape{3, 5}, Shape{17}, Shape{2, 3, 2}, Shape{}}) {
    for (const auto& partition : partitions()) check_single(half_dropped(shape), partition, true);
  }
}

TEST_CASE("dropout with the probabilities 0 and 1, of a number and of nothing") {
  const auto topology = Partition(world()).cartesian({world().size()});
  Batch batch;
  const auto x = Variable<double>::parameter("x", laid_out<double>({topology, {7}, {Shard{0}}}));
  GradientTape tape;
  const auto all = dropout(x, 0, stream);
  const auto none = dropout(x, 1, stream);
  check_logical(all.value(), flat({7}, {}), 0, "all stay", batch);
  check_logical(none.value(), Flat(7), 0, "none stays", batch);
  tape.backward(sum(all + none));
  check_logical(x.dense_gradient(), Flat(7, 1), 0, "gradient", batch);
  const Variable<double> number(DistributedTensor<double>::constant({topology, {}, {Replicate{}}}, 3));
  check_logical(dropout(number, 0.25, stream).value(), {3 * factor_at(0, 0.25)}, 1e-15, "a number", batch);
  const Variable<double> empty(DistributedTensor<double>::zeros({topology, {0, 3}, {Shard{1}}}));
  check_logical(dropout(empty, 0.25, stream).value(), {}, 0, "nothing", batch);
  batch.verify();
}

TEST_CASE("dropout drops about p of the elements, others in each stream, none of them for ever") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const Index n = 40'000;
  const Variable<float> ones(DistributedTensor<float>::constant({topology, {n}, {Replicate{}}}, 1));
  Index kept_twice = 0;
  std::vector<Index> kept(2);
  const auto first = dropout(ones, 0.3, RandomStream(1, "call 0")).value().local_on_host();
  const auto second = dropout(ones, 0.3, RandomStream(1, "call 1")).value().local_on_host();
  for (Index i = 0; i < n; ++i) {
    kept[0] += first[i] != 0 ? 1 : 0;
    kept[1] += second[i] != 0 ? 1 : 0;
    kept_twice += first[i] != 0 && second[i] != 0 ? 1 : 0;
    if (first[i] != 0) REQUIRE(first[i] == static_cast<float>(1 / 0.7));
  }
  CHECK(std::abs(static_cast<double>(kept[0]) / static_cast<double>(n) - 0.7) < 0.01);
  CHECK(std::abs(static_cast<double>(kept[1]) / static_cast<double>(n) - 0.7) < 0.01);
  CHECK(std::abs(static_cast<double>(kept_twice) / static_cast<double>(n) - 0.49) < 0.01);
}

TEST_CASE("dropout refuses what is no probability, on every rank") {
  const auto topology = Partition(world()).cartesian({world().size()});
  SameTexts texts;
  const Variable<double> x(DistributedTensor<double>::zeros({topology, {3}, {Replicate{}}}));
  for (const double p : {-0.1, 1.1, static_cast<double>(NAN)}) {
    CHECK(contains(texts.of([&] { dropout(x, p, stream); }), "from 0 to 1"));
  }
  const Variable<double> deep(
      DistributedTensor<double>::zeros({topology, Shape(std::vector<Index>(9, 1)), {Replicate{}}}));
  CHECK(contains(texts.of([&] { dropout(deep, 0.5, stream); }), "at most 8"));
  texts.verify();
}

}  // namespace
}  // namespace tartan
