// functional::linear in every legal placement on every grid of one or two axes against plain loops: exact values, exact
// gradients of all three operands, Taylor remainders; everything else is refused.

#include <tartan/nn/linear.hpp>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index in = 5;
constexpr Index out = 4;

/// x (3, 2, 5), or fewer leading dimensions; weight (4, 5); bias (4), or none.
Operation product(std::vector<Index> leading, bool biased) {
  auto x = leading;
  x.push_back(in);
  Operation operation{.name = biased ? "linear with bias" : "linear",
                      .shapes = {Shape(x), {out, in}},
                      .apply = [](const Inputs& i) { return functional::linear(i[0], i[1]); },
                      .meaning =
                          [](const std::vector<Flat>& i) {
                            Flat result;
                            for (std::size_t row = 0; row < i[0].size() / in; ++row) {
                              for (std::size_t o = 0; o < out; ++o) {
                                double sum = i.size() == 3 ? i[2][o] : 0;
                                for (std::size_t c = 0; c < in; ++c) sum += i[0][row * in + c] * i[1][o * in + c];
                                result.push_back(sum);
                              }
                            }
                            return result;
                          },
                      .order = Order::bilinear};
  if (biased) {
    operation.shapes.push_back({out});
    operation.apply = [](const Inputs& i) { return functional::linear(i[0], i[1], i[2]); };
  }
  return operation;
}

/// One axis of the table in tartan/nn/linear.hpp.
struct Cell {
  Placement x = Replicate{}, weight = Replicate{}, bias = Replicate{}, result = Replicate{};
};

std::vector<Cell> cells(int dimensions) {
  const int last = dimensions - 1;
  std::vector<Cell> all{{Replicate{}, Replicate{}, Replicate{}, Replicate{}},
                        {Replicate{}, Shard{0}, Shard{0}, Shard{last}},
                        {Shard{last}, Shard{1}, Replicate{}, Partial{}},
                        {Partial{}, Replicate{}, Replicate{}, Partial{}},
                        {Root{}, Root{}, Root{}, Root{}}};
  for (int dim = 0; dim < last; ++dim) all.push_back({Shard{dim}, Replicate{}, Replicate{}, Shard{dim}});
  return all;
}

/// Every choice of one cell per axis.
std::vector<std::vector<Cell>> combinations(int axes, int dimensions) {
  std::vector<std::vector<Cell>> result{{}};
  for (int axis = 0; axis < axes; ++axis) {
    std::vector<std::vector<Cell>> longer;
    for (const auto& begun : result) {
      for (const auto& cell : cells(dimensions)) {
        longer.push_back(begun);
        longer.back().push_back(cell);
      }
    }
    result = std::move(longer);
  }
  return result;
}

Placements each(const std::vector<Cell>& cells, Placement Cell::*member) {
  Placements placements;
  for (const auto& cell : cells) placements.push_back(cell.*member);
  return placements;
}

void check_all(const Operation& operation, const Partition& partition) {
  const Expected expected(operation);
  Batch batch;
  const int dimensions = operation.shapes[0].dimensions();
  for (const auto& topology : topologies(partition)) {
    for (const auto& chosen : combinations(topology.grid().axes(), dimensions)) {
      std::vector<Distribution> placed{{topology, operation.shapes[0], each(chosen, &Cell::x)},
                                       {topology, operation.shapes[1], each(chosen, &Cell::weight)}};
      if (operation.shapes.size() == 3) placed.push_back({topology, {out}, each(chosen, &Cell::bias)});
      check_operation(operation, placed, expected, batch);

      Inputs inputs;
      for (const auto& d : placed) inputs.emplace_back(DistributedTensor<double>::zeros(d));
      auto shape = operation.shapes[0].without(dimensions - 1).appended(out);
      CHECK(operation.apply(inputs).distribution() == Distribution(topology, shape, each(chosen, &Cell::result)));
    }
  }
  batch.verify();
}

TEST_CASE("linear with bias on every grid") {
  for (const auto& partition : partitions()) check_all(product({3, 2}, true), partition);
}

TEST_CASE("linear without bias, of matrices, vectors and no rows") {
  const Partition all(world());
  check_all(product({3}, false), all);
  check_all(product({3}, true), all);
  check_all(product({}, true), all);
}

TEST_CASE("linear to several dimensions of outputs is linear to one, whichever of them is split") {
  const Partition all(world());
  auto operation = product({3}, true);  // the same elements: 4 outputs as (2, 2)
  operation.shapes[1] = {2, 2, in};
  operation.shapes[2] = {2, 2};
  const Expected expected(operation);
  const std::vector<Cell> legal{{Replicate{}, Replicate{}, Replicate{}, Replicate{}},
                                {Replicate{}, Shard{0}, Shard{0}, Shard{1}},
                                {Replicate{}, Shard{1}, Shard{1}, Shard{2}},
                                {Shard{1}, Shard{2}, Replicate{}, Partial{}},
                                {Shard{0}, Replicate{}, Replicate{}, Shard{0}}};
  Batch batch;
  for (const auto& topology : topologies(all)) {
    for (const auto& a : legal) {
      for (const auto& b : legal) {
        std::vector<Cell> chosen{a, b};
        chosen.resize(static_cast<std::size_t>(topology.grid().axes()));
        const std::vector<Distribution> placed{{topology, operation.shapes[0], each(chosen, &Cell::x)},
                                               {topology, operation.shapes[1], each(chosen, &Cell::weight)},
                                               {topology, operation.shapes[2], each(chosen, &Cell::bias)}};
        check_operation(operation, placed, expected, batch);
        Inputs inputs;
        for (const auto& d : placed) inputs.emplace_back(DistributedTensor<double>::zeros(d));
        CHECK(operation.apply(inputs).distribution() == Distribution(topology, {3, 2, 2}, each(chosen, &Cell::result)));
      }
    }
  }
  batch.verify();
}

TEST_CASE("linear of no rows, of no features, and to none") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto zeros = [&](Shape shape, Placement placement) {
    return Variable<double>::parameter("zeros", DistributedTensor<double>::zeros({topology, shape, {placement}}));
  };
  const auto bias = Variable<double>::parameter("b", tensor({topology, {3}, {Replicate{}}}, {1, 1}));
  Batch batch;
  {
    const auto x = zeros({0, 2}, Shard{0});
    const auto w = zeros({3, 2}, Replicate{});
    GradientTape tape;
    tape.backward(sum(functional::linear(x, w, bias)));
    check_logical(w.dense_gradient(), Flat(6), 0, "weight, no rows", batch);
    check_logical(bias.dense_gradient(), Flat(3), 0, "bias, no rows", batch);
  }
  {
    const auto x = zeros({2, 0}, Shard{1});
    const auto w = zeros({3, 0}, Shard{1});
    GradientTape tape;
    const auto y = functional::linear(x, w, bias);
    check_logical(y.value(), {1, 2, 3, 1, 2, 3}, 0, "no features", batch);
    tape.backward(sum(y));
    check_logical(bias.dense_gradient(), Flat(3, 2), 0, "bias, no features", batch);
    CHECK(x.dense_gradient().local().elements() == 0);
  }
  {
    const auto x = zeros({2, 4}, Replicate{});
    const auto w = zeros({0, 4}, Shard{0});
    GradientTape tape;
    const auto y = functional::linear(x, w);
    CHECK(y.shape() == Shape{2, 0});
    tape.backward(sum(y));
    check_logical(x.dense_gradient(), Flat(8), 0, "to no features", batch);
  }
  batch.verify();
}

TEST_CASE("linear refuses every other pair of placements, on every rank") {
  SameTexts texts;
  const Shape x_shape{3, 2, in};
  const Shape w_shape{out, in};
  for (const auto& topology : topologies(Partition(world()))) {
    const int axes = topology.grid().axes();
    const auto legal = combinations(axes, 3);
    for (const auto& a : all_placements(axes, 3)) {
      for (const auto& b : all_placements(axes, 2)) {
        if (std::ranges::any_of(legal, [&](const auto& chosen) {
              return each(chosen, &Cell::x) == a && each(chosen, &Cell::weight) == b;
            })) {
          continue;
        }
        const Variable<double> x(DistributedTensor<double>::zeros({topology, x_shape, a}));
        const Variable<double> w(DistributedTensor<double>::zeros({topology, w_shape, b}));
        const auto text = texts.of([&] { functional::linear(x, w); });
        INFO(text);
        CHECK(contains(text, x.distribution().to_string()));
        CHECK(contains(text, w.distribution().to_string()));
      }
    }
  }
  texts.verify();
}

TEST_CASE("linear refuses shapes, biases and grids that do not meet, on every rank") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n, 1});
  const auto turned = Partition(world()).cartesian({1, n});
  const auto on = [](const CartesianTopology& t, Shape shape, Placement placement = Replicate{}) {
    return Variable<double>(DistributedTensor<double>::zeros({t, std::move(shape), {placement, Replicate{}}}));
  };
  SameTexts texts;
  const auto refuses = [&](const std::string& part, const auto& call) {
    const auto text = texts.of(call);
    INFO(text);
    CHECK(contains(text, part));
  };
  const auto x = on(topology, {3, in});
  const auto w = on(topology, {out, in});
  refuses("(3, 5) and (4, 6)", [&] { functional::linear(x, on(topology, {out, in + 1})); });
  refuses("(3, 5) and (5)", [&] { functional::linear(x, on(topology, {in})); });
  refuses("() and (4, 5)", [&] { functional::linear(on(topology, {}), w); });
  for (const auto& bias : {Shape{out + 1}, Shape{1, out}, Shape{}}) {
    refuses("takes a bias of the shape (4) with a weight of the shape (4, 5), not one of the shape " + bias.to_string(),
            [&] { functional::linear(x, w, on(topology, bias)); });
  }
  refuses("bias placed as (4): [Replicate", [&] { functional::linear(x, w, on(topology, {out}, Shard{0})); });
  refuses("bias placed as (4): [Replicate", [&] { functional::linear(x, w, on(topology, {out}, Partial{})); });
  refuses("bias placed as (4): [Shard(0)", [&] {
    functional::linear(x, on(topology, {out, in}, Shard{0}), on(topology, {out}));
  });
  if (n > 1) refuses("one topology", [&] { functional::linear(x, on(turned, {out, in})); });
  texts.verify();
}

TEST_CASE("linear over given blocks: those of the operands must be alike, and the result has them") {
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n});
  std::vector<Index> last_has_all(static_cast<std::size_t>(n), 0);
  const auto blocks = [&](Index extent) {
    last_has_all.back() = extent;
    return DistributionOptions{.block_extents = {{0, last_has_all}}};
  };
  const auto operation = product({3}, true);
  const Expected expected(operation);
  Batch batch;
  const Distribution x(topology, {3, in}, {Replicate{}}), w(topology, {out, in}, {Replicate{}}),
      b(topology, {out}, {Replicate{}});
  const Distribution x_rows(topology, {3, in}, {Shard{0}}, blocks(3));
  const Distribution x_columns(topology, {3, in}, {Shard{1}}, blocks(in));
  const Distribution w_rows(topology, {out, in}, {Shard{0}}, blocks(out));
  const Distribution w_columns(topology, {out, in}, {Shard{1}}, blocks(in));
  const Distribution b_rows(topology, {out}, {Shard{0}}, blocks(out));
  check_operation(operation, {x_rows, w, b}, expected, batch);
  check_operation(operation, {x, w_rows, b_rows}, expected, batch);
  check_operation(operation, {x_columns, w_columns, b}, expected, batch);
  const auto zeros = [](const Distribution& d) { return Variable<double>(DistributedTensor<double>::zeros(d)); };
  CHECK(functional::linear(zeros(x_rows), zeros(w)).distribution() ==
        Distribution(topology, {3, out}, {Shard{0}}, blocks(3)));
  CHECK(functional::linear(zeros(x), zeros(w_rows)).distribution() ==
        Distribution(topology, {3, out}, {Shard{1}}, blocks(out)));
  SameTexts texts;
  const Distribution balanced_x(topology, {3, in}, {Shard{1}}), balanced_b(topology, {out}, {Shard{0}});
  for (const auto& text : {texts.of([&] { functional::linear(zeros(balanced_x), zeros(w_columns)); }),
                           texts.of([&] { functional::linear(zeros(x), zeros(w_rows), zeros(balanced_b)); })}) {
    CHECK((text == "no error") == (n == 1));
  }
  texts.verify();
  batch.verify();
}

TEST_CASE("linear where two axes cut one dimension: the result nests as the operands do") {
  Batch batch;
  SameTexts texts;
  const auto operation = product({3}, true);
  const Expected expected(operation);
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    const auto both = [&](Shape shape, Placement placement, std::vector<int> nesting = {0, 1}) {
      return Distribution(topology, std::move(shape), {placement, placement}, {.nesting = std::move(nesting)});
    };
    const std::vector<int> inner_first{1, 0};
    const auto whole_b = both({out}, Replicate{});
    check_operation(
        operation,
        {both({3, in}, Replicate{}), both({out, in}, Shard{0}, inner_first), both({out}, Shard{0}, inner_first)},
        expected, batch);
    check_operation(operation, {both({3, in}, Shard{0}, inner_first), both({out, in}, Replicate{}), whole_b}, expected,
                    batch);
    check_operation(operation, {both({3, in}, Shard{1}, inner_first), both({out, in}, Shard{1}, inner_first), whole_b},
                    expected, batch);
    const auto text = texts.of([&] {
      functional::linear(Variable<double>(DistributedTensor<double>::zeros(both({3, in}, Shard{1}))),
                         Variable<double>(DistributedTensor<double>::zeros(both({out, in}, Shard{1}, inner_first))));
    });
    CHECK((text == "no error") == (grid[0] == 1 || grid[1] == 1));
  }
  texts.verify();
  batch.verify();
}

TEST_CASE("linear refuses a weight that was modified since") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto x = Variable<float>::parameter("x", DistributedTensor<float>::zeros({topology, {3, in}, {Replicate{}}}));
  auto w = Variable<float>::parameter("w", DistributedTensor<float>::zeros({topology, {out, in}, {Shard{0}}}));
  GradientTape tape;
  const auto loss = sum(functional::linear(x, w));
  w.modify([](Tensor<float>&) {});
  SameTexts texts;
  CHECK(contains(texts.of([&] { tape.backward(loss); }), "in the backward pass of linear"));
  texts.verify();
}

}  // namespace
}  // namespace tartan
