// LayerNorm and RMSNorm with rows whole or cut, in every combination of placements that they take.

#include <tartan/autograd/normalization.hpp>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr std::size_t features = 5;

/// (..., 5) against plain loops; a weight and a bias where there are that many operands.
Operation normalization(bool centred, Shape x, std::size_t operands, double epsilon) {
  Operation operation{.name = centred ? "layer_norm" : "rms_norm",
                      .shapes = {std::move(x)},
                      .apply =
                          [=](const Inputs& i) {
                            const auto weight = operands > 1 ? i[1] : Variable<double>();
                            const auto bias = operands > 2 ? i[2] : Variable<double>();
                            return centred ? functional::layer_norm(i[0], weight, bias, epsilon)
                                           : functional::rms_norm(i[0], weight, epsilon);
                          },
                      .meaning =
                          [=](const std::vector<Flat>& i) {
                            Flat out;
                            for (std::size_t row = 0; row < i[0].size(); row += features) {
                              double mean = 0, variance = 0;
                              for (std::size_t c = 0; c < features; ++c) mean += i[0][row + c] / features;
                              if (!centred) mean = 0;
                              for (std::size_t c = 0; c < features; ++c) {
                                variance += (i[0][row + c] - mean) * (i[0][row + c] - mean) / features;
                              }
                              for (std::size_t c = 0; c < features; ++c) {
                                const double value = (i[0][row + c] - mean) / std::sqrt(variance + epsilon);
                                out.push_back(value * (operands > 1 ? i[1][c] : 1) + (operands > 2 ? i[2][c] : 0));
                              }
                            }
                            return out;
                          },
                      .order = Order::other,
                      .scale = 0.125};
  for (std::size_t i = 1; i < operands; ++i) operation.shapes.push_back({features});
  return operation;
}

/// The table of tartan/autograd/normalization.hpp.
std::vector<Placements> cells(int dimensions, std::size_t operands) {
  std::vector<Placements> all{
      {Replicate{}, Replicate{}, Replicate{}}, {Shard{dimensions - 1}, Shard{0}, Shard{0}}, {Root{}, Root{}, Root{}}};
  for (int dim = 0; dim + 1 < dimensions; ++dim) all.push_back({Shard{dim}, Replicate{}, Replicate{}});
  for (auto& cell : all) cell.resize(operands, Replicate{});
  return all;
}

TEST_CASE("layer_norm with a weight and a bias on every grid") {
  for (const auto& partition : partitions()) {
    check_cells(normalization(true, {3, 2, features}, 3, 0.5), partition, cells(3, 3));
  }
}

TEST_CASE("rms_norm with a weight on every grid") {
  for (const auto& partition : partitions()) {
    check_cells(normalization(false, {3, 2, features}, 2, 0.5), partition, cells(3, 2));
  }
}

TEST_CASE("normalisation without parameters, and of vectors") {
  const Partition all(world());
  check_cells(normalization(true, {3, features}, 1, 0.5), all, cells(2, 1));
  check_cells(normalization(false, {3, features}, 1, 0.5), all, cells(2, 1));
  check_cells(normalization(true, {features}, 3, 0.5), all, cells(1, 3));
}

TEST_CASE("the variance of numbers far from 0 is that of their differences, however they are cut") {
  Batch batch;
  for (const auto& topology : topologies(Partition(world()))) {
    for (const auto& placed : combinations(topology.grid().axes(), cells(2, 1))) {
      const auto x = DistributedTensor<double>::from_function(
          {topology, {2, 7}, placed[0]}, [](auto i) { return 1e9 + static_cast<double>(i[0] + i[1]); });
      Flat expected;
      for (int i = 0; i < 14; ++i) expected.push_back((i % 7 - 3) / 2.0);
      check_logical(functional::layer_norm(Variable<double>(x), {}, {}, 0).value(), expected, 1e-6, "far", batch);
    }
  }
  batch.verify();
}

TEST_CASE("normalisation of no rows, and of columns on one rank only") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n});
  const auto weight = Variable<double>::parameter("w", tensor({topology, {4}, {Replicate{}}}, {}));
  const auto none = Variable<double>::parameter("x", DistributedTensor<double>::zeros({topology, {0, 4}, {Shard{0}}}));
  Batch batch;
  {
    GradientTape tape;
    tape.backward(sum(functional::layer_norm(none, weight)));
  }
  check_logical(weight.dense_gradient(), Flat(4), 0, "no rows", batch);
  batch.verify();
  std::vector<Index> blocks(static_cast<std::size_t>(n), 0);
  blocks.back() = features;
  const auto operation = normalization(true, {3, features}, 3, 0.5);
  const Distribution x(topology, {3, features}, {Shard{1}}, {.block_extents = {{0, blocks}}});
  const Distribution w(topology, {features}, {Shard{0}}, {.block_extents = {{0, blocks}}});
  check_operation(operation, {x, w, w}, Expected(operation), batch);
  batch.verify();
}

TEST_CASE("normalisation refuses Partial tensors, numbers and parameters that lie otherwise, on every rank") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n});
  const auto on = [&](Shape shape, Placement placement) {
    return Variable<double>(DistributedTensor<double>::zeros({topology, std::move(shape), {placement}}));
  };
  SameTexts texts;
  const auto refuses = [&](const std::string& part, const auto& call) {
    const auto text = texts.of(call);
    INFO(text);
    CHECK(contains(text, part));
  };
  using functional::layer_norm;
  refuses("(3, 5): [Partial]", [&] { layer_norm(on({3, 5}, Partial{})); });
  refuses("number", [&] { layer_norm(on({}, Replicate{})); });
  refuses("weight placed as (5): [Replicate]", [&] { layer_norm(on({3, 5}, Shard{0}), on({5}, Shard{0})); });
  refuses("weight placed as (5): [Shard(0)]", [&] { layer_norm(on({3, 5}, Shard{1}), on({5}, Replicate{})); });
  refuses("weight placed as (5): [Replicate]", [&] {
    functional::rms_norm(on({3, 5}, Shard{0}), on({3}, Replicate{}));
  });
  refuses("bias placed as (5): [Replicate]", [&] {
    layer_norm(on({3, 5}, Shard{0}), on({5}, Replicate{}), on({4}, Replicate{}));
  });
  refuses("at least 0", [&] { layer_norm(on({3, 5}, Shard{0}), {}, {}, -1); });
  texts.verify();
}

}  // namespace
}  // namespace tartan
