// Reshapes: what is sharded stays where it is, or is refused.

#include <tartan/autograd/shapes.hpp>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

Operation reshaping(Shape from, Shape to) {
  return {"a reshape of " + from.to_string() + " to " + to.to_string(),
          {from},
          [=](const Inputs& x) { return reshape(x[0], to); },
          [](const std::vector<Flat>& x) { return x[0]; }};
}

/// Where a reshape leaves a dimension that it can leave where it is, on every grid; those that do not follow are
/// refused with the same text on every rank. How many were not.
Index check_reshape(const Shape& from, const Shape& to) {
  const auto operation = reshaping(from, to);
  const Expected expected(operation);
  Batch batch;
  SameTexts texts;
  Index taken = 0;
  for (const auto& topology : topologies(Partition(world()))) {
    for (const auto& placements : all_placements(topology.grid().axes(), from.dimensions())) {
      const Distribution d(topology, from, placements);
      const Variable<double> x(laid_out<double>(d));
      Variable<double> y;
      const auto text = texts.of([&] { y = reshape(x, to); });
      if (y.is_null()) {
        CHECK(contains(text, d.to_string()));
        continue;
      }
      ++taken;
      // No element has moved: what a rank holds is what the new distribution gives it.
      CHECK(y.value().local().data() == x.value().local().data());
      check_operation(operation, {d}, expected, batch);
    }
  }
  texts.verify();
  batch.verify();
  return taken;
}

TEST_CASE("reshapes keep every element where it is and take gradients back") {
  const std::vector<std::pair<Shape, Shape>> cases{{{2, 3, 8}, {2, 3, 4, 2}},
                                                   {{2, 3, 4, 2}, {2, 3, 8}},
                                                   {{4, 3, 2}, {12, 2}},
                                                   {{12, 2}, {4, 3, 2}},
                                                   {{6, 4}, {4, 6}},
                                                   {{5}, {1, 5, 1}},
                                                   {{1, 5}, {5}},
                                                   {{2, 3}, {2, 3}},
                                                   {{2, 1, 3}, {2, 3}},
                                                   {{1, 1}, {}},
                                                   {{}, {1}}};
  for (const auto& [from, to] : cases) {
    INFO(from.to_string() << " to " << to.to_string());
    CHECK(check_reshape(from, to) > 0);
  }
}

TEST_CASE("heads are split from the last dimension where each rank has whole ones, and merged back") {
  const int n = world().size();
  const Index heads = 2 * n + 1;
  const Index width = 3;
  const auto topology = Partition(world()).cartesian({n});
  std::vector<Index> features, whole;
  for (int rank = 0; rank < n; ++rank) {
    whole.push_back(rank == 0 ? 3 : 2);
    features.push_back(whole.back() * width);
  }
  const Distribution merged(topology, {2, 4, heads * width}, {Shard{2}}, {.block_extents = {{0, features}}});
  const Distribution split(topology, {2, 4, heads, width}, {Shard{2}});
  const Variable<double> x(laid_out<double>(merged));
  const auto y = reshape(x, {2, 4, heads, width});
  CHECK(y.distribution() == split);
  CHECK(reshape(y, {2, 4, heads * width}).distribution() == merged);
  std::vector<Index> uneven(static_cast<std::size_t>(n), 0);
  uneven.back() = heads;
  const Distribution one(topology, {2, 4, heads, width}, {Shard{2}}, {.block_extents = {{0, uneven}}});
  const auto z = reshape(Variable<double>(laid_out<double>(one)), {2, 4, heads * width});
  CHECK(reshape(z, {2, 4, heads, width}).distribution() == one);
  Batch batch;
  const auto operation = reshaping(one.shape(), z.shape());
  check_operation(operation, {one}, Expected(operation), batch);
  batch.verify();
}

TEST_CASE("blocks that cut heads are refused with blocks that would do") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const Variable<double> x(DistributedTensor<double>::zeros({topology, {2, 4 * 3}, {Shard{1}}}));
  SameTexts texts;
  const auto text = texts.of([&] { reshape(x, {2, 4, 3}); });
  INFO(text);
  if (world().size() == 3) {
    CHECK(contains(text, "multiples of 3"));
    CHECK(contains(text, ".block_extents = {{0, {6, 3, 3}}}"));
  }
  if (world().size() == 1 || world().size() == 2 || world().size() == 4) CHECK(text == "no error");
  CHECK(contains(texts.of([&] { reshape(x, {2, 13}); }), "number of elements"));
  CHECK(contains(texts.of([&] { reshape(x, {24}); }), "dimension 1 with one before it"));
  texts.verify();
}

TEST_CASE("tensors of no elements are reshaped too") {
  const auto topology = Partition(world()).cartesian({world().size()});
  for (const auto& to : {Shape{0, 2, 3, 4}, Shape{0, 6, 4}, Shape{0}, Shape{3, 0}}) {
    const auto x =
        Variable<double>::parameter("x", DistributedTensor<double>::zeros({topology, {0, 6, 4}, {Shard{0}}}));
    GradientTape tape;
    const auto y = reshape(x, to);
    CHECK(y.shape() == to);
    tape.backward(sum(y));
    CHECK(x.dense_gradient().distribution() == x.distribution());
  }
}

}  // namespace
}  // namespace tartan
