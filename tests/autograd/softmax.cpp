// Softmax in every placement that it takes: of whole rows, and of rows that are cut.

#include <tartan/autograd/softmax.hpp>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr std::size_t columns = 5;

Operation rows_of_five(bool logarithm, Shape shape = {3, 2, columns}) {
  return {logarithm ? "log_softmax" : "softmax",
          {std::move(shape)},
          [=](const Inputs& x) { return logarithm ? log_softmax(x[0]) : softmax(x[0]); },
          [=](const std::vector<Flat>& x) {
            Flat out;
            for (std::size_t i = 0; i < x[0].size(); ++i) {
              double sum = 0;
              for (std::size_t c = 0; c < columns; ++c) sum += std::exp(x[0][i / columns * columns + c]);
              out.push_back(logarithm ? x[0][i] - std::log(sum) : std::exp(x[0][i]) / sum);
            }
            return out;
          },
          Order::other,
          0.0625};
}

TEST_CASE("softmax and log_softmax of whole rows") {
  for (const bool logarithm : {false, true}) {
    for (const auto& partition : partitions()) {
      check_cells(rows_of_five(logarithm), partition, {{Shard{0}}, {Shard{1}}, {Replicate{}}, {Root{}}});
    }
  }
}

TEST_CASE("softmax and log_softmax of rows that are cut") {
  for (const bool logarithm : {false, true}) {
    for (const auto& partition : partitions()) {
      check_cells(rows_of_five(logarithm), partition, {{Shard{1}}, {Shard{2}}, {Replicate{}}});
    }
  }
}

TEST_CASE("softmax and log_softmax of a vector, also where ranks hold nothing of it") {
  for (const bool logarithm : {false, true}) {
    for (const auto& partition : partitions()) {
      check_cells(rows_of_five(logarithm, {columns}), partition, {{Shard{0}}, {Replicate{}}});
      check_cells(rows_of_five(logarithm, {columns}), partition, {{Root{}}, {Replicate{}}});
    }
  }
}

TEST_CASE("softmax refuses terms of sums, cut rows of a Root, and numbers, on every rank") {
  SameTexts texts;
  const auto topology = Partition(world()).cartesian({world().size(), 1});
  const auto cut = world().size() > 1 ? Placements{Shard{2}, Root{}} : Placements{Partial{}, Root{}};
  for (const auto& placements : {Placements{Partial{}, Replicate{}}, cut}) {
    const Variable<double> x(DistributedTensor<double>::zeros({topology, {3, 2, 5}, placements}));
    for (const auto& text : {texts.of([&] { softmax(x); }), texts.of([&] { log_softmax(x); })}) {
      CHECK(contains(text, x.distribution().to_string()));
      CHECK(contains(text, "redistribute"));
    }
  }
  const Variable<double> number(DistributedTensor<double>::zeros({topology, {}, {Replicate{}, Replicate{}}}));
  CHECK(contains(texts.of([&] { softmax(number); }), "number"));
  texts.verify();
}

TEST_CASE("softmax of large numbers, of -infinity and of no columns") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto at = [](auto i) { return i[1] == 0 ? 1000.0 : i[1] == 1 ? 999.0 : -INFINITY; };
  const auto p = 1 / (1 + std::exp(-1.0));
  const double slope = 2 * p * (1 - p) * (2 * p - 1);
  Batch batch;
  for (const Placement placement : {Placement(Replicate{}), Placement(Shard{1})}) {
    const auto x =
        Variable<double>::parameter("x", DistributedTensor<double>::from_function({topology, {1, 3}, {placement}}, at));
    GradientTape tape;
    const auto y = softmax(x);
    check_logical(y.value(), {p, 1 - p, 0}, 1e-15, "softmax", batch);
    tape.backward(sum(y * y));
    check_logical(x.dense_gradient(), {slope, -slope, 0}, 1e-15, "gradient", batch);
  }
  check_logical(softmax(Variable<double>(DistributedTensor<double>::zeros({topology, {3, 0}, {Shard{0}}}))).value(), {},
                0, "no columns", batch);
  batch.verify();
}

}  // namespace
}  // namespace tartan
