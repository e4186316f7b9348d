// Inner products over split columns with the bits of one rank.

#include <cstring>

#include <tartan/autograd/operations.hpp>
#include <tartan/base/random.hpp>
#include <tartan/distributed/leaves.hpp>

#include "autograd/logical.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index rows = 7;
constexpr Index several = 3;
constexpr Index columns = 80;

float element(Index flat) {
  static const RandomStream stream(4, "elements");
  return static_cast<float>(stream.normal(flat));
}

/// <row i of a, row j of its rows of b> by leaves of 32 columns.
float by_leaves(Index i, Index j) {
  float sum = 0;
  for (Index first = 0; first < columns; first += 32) {
    std::vector<float> lanes(32, -0.0F);
    for (Index c = first; c < std::min(columns, first + 32); ++c) {
      lanes[static_cast<std::size_t>(c - first)] =
          element(i * columns + c) * element(1000 + (i * several + j) * columns + c);
    }
    for (std::size_t width = 16; width > 0; width /= 2) {
      for (std::size_t l = 0; l < width; ++l) lanes[l] += lanes[l + width];
    }
    sum = first == 0 ? lanes[0] : sum + lanes[0];
  }
  return sum;
}

TEST_CASE("reproducible dot products have the bits of one rank on every split") {
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    const DistributionOptions leaves{.block_extents = {{1, leaf_blocks(columns, grid[1])}}};
    const Distribution da(topology, {rows, columns}, {Shard{0}, Shard{1}}, leaves);
    const Distribution db(topology, {rows, several, columns}, {Shard{0}, Shard{2}}, leaves);
    const auto a = Variable<float>::parameter(
        "a", DistributedTensor<float>::from_function(da, [](auto i) { return element(i[0] * columns + i[1]); }));
    const auto b = Variable<float>::parameter("b", DistributedTensor<float>::from_function(db, [](auto i) {
                                                return element(1000 + (i[0] * several + i[1]) * columns + i[2]);
                                              }));
    GradientTape tape;
    const auto y = dot(a, b, {.reproducible = true});
    CHECK(y.distribution().placement(0).is_shard(0));
    CHECK(y.distribution().placement(1).is_replicate());
    const auto local = y.value().local_on_host();
    Index flat = 0;
    for (Index i = y.value().box()[0].begin; i < y.value().box()[0].end; ++i) {
      for (Index j = 0; j < several; ++j, ++flat) {
        const float expected = by_leaves(i, j);
        CHECK(std::memcmp(&local[flat], &expected, sizeof expected) == 0);
      }
    }
    tape.backward(sum(y));
    const auto& to_b = std::get<DistributedTensor<float>>(b.gradient());
    CHECK(to_b.distribution() == db);
    const auto gradient = to_b.local_on_host();
    const auto box = to_b.box();
    flat = 0;
    for (Index i = box[0].begin; i < box[0].end; ++i) {
      for (Index j = 0; j < several; ++j) {
        for (Index c = box[2].begin; c < box[2].end; ++c) CHECK(gradient[flat++] == element(i * columns + c));
      }
    }
  }
}

TEST_CASE("reproducible dot products of vectors, also where ranks hold nothing of them") {
  Batch batch;
  const int n = world().size();
  for (const auto& partition : {Partition(world()), Partition(world()).first(n > 1 ? n - 1 : 1)}) {
    const auto topology = partition.cartesian({partition.size()});
    for (const Placement placement : {Placement(Shard{0}), Placement(Replicate{}), Placement(Root{})}) {
      DistributionOptions leaves;
      if (placement.is_shard()) leaves.block_extents[0] = leaf_blocks(40, partition.size());
      const Distribution d(topology, {40}, {placement}, leaves);
      const auto a = Variable<double>::parameter("a", laid_out<double>(d, {1, 2}));
      const auto b = Variable<double>::parameter("b", laid_out<double>(d, {3, -1}));
      GradientTape tape;
      const auto y = dot(a, b, {.reproducible = true});
      check_logical(y.value(), {65440 /* Σ (i + 2)(3i - 1) */}, 0, "product", batch);
      tape.backward(y);
      Flat of_a, of_b;
      for (int i = 0; i < 40; ++i) {
        of_a.push_back(3 * i - 1);
        of_b.push_back(i + 2);
      }
      check_logical(a.dense_gradient(), of_a, 0, "gradient of a", batch);
      check_logical(b.dense_gradient(), of_b, 0, "gradient of b", batch);
    }
  }
  batch.verify();
}

TEST_CASE("reproducible dot products refuse columns that are cut elsewhere") {
  const int n = world().size();
  const Distribution d(Partition(world()).cartesian({n}), {rows, 40}, {Shard{1}});
  const Variable<float> x(DistributedTensor<float>::zeros(d));
  CHECK(contains(error_text([&] { dot(x, x, {.reproducible = true}); }), "take blocks that cut none") == (n > 1));
  CHECK(dot(x, x).distribution().placement(0).is_partial());
}

}  // namespace
}  // namespace tartan
