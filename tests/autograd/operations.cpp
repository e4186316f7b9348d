// Every operation in every legal placement against plain loops on whole arrays: exact values, exact gradients (the
// loops are affine in each number, so that a difference of two of their values is a derivative) and Taylor remainders
// of second order; and every other placement is refused.

#include "autograd/check_placements.hpp"

#include <numeric>

namespace tartan {
namespace {

using namespace testing;

Operation plus() {
  return {"a sum",
          {{3, 5}, {3, 5}},
          [](const Inputs& x) { return x[0] + x[1]; },
          [](const std::vector<Flat>& x) {
            Flat out;
            for (std::size_t i = 0; i < x[0].size(); ++i) out.push_back(x[0][i] + x[1][i]);
            return out;
          }};
}

Operation times() {
  return {"a product",
          {{3, 5}, {3, 5}},
          [](const Inputs& x) { return x[0] * x[1]; },
          [](const std::vector<Flat>& x) {
            Flat out;
            for (std::size_t i = 0; i < x[0].size(); ++i) out.push_back(x[0][i] * x[1][i]);
            return out;
          },
          Order::bilinear};
}

Operation summation() {
  return {"a sum of elements",
          {{3, 5}},
          [](const Inputs& x) { return sum(x[0]); },
          [](const std::vector<Flat>& x) { return Flat{std::accumulate(x[0].begin(), x[0].end(), 0.0)}; }};
}

/// k = 0: (rows..., 5) with (rows..., 5); otherwise with (rows..., k, 5).
Operation dots(Index k, const Shape& rows = {3}) {
  return {k == 0 ? "dot" : "dot with several",
          {rows.appended(5), (k == 0 ? rows : rows.appended(k)).appended(5)},
          [](const Inputs& x) { return dot(x[0], x[1]); },
          [k, rows](const std::vector<Flat>& x) {
            const auto several = static_cast<std::size_t>(std::max<Index>(k, 1));
            Flat out(static_cast<std::size_t>(rows.elements()) * several);
            for (std::size_t row = 0; row < out.size(); ++row) {
              for (std::size_t c = 0; c < 5; ++c) out[row] += x[0][row / several * 5 + c] * x[1][row * 5 + c];
            }
            return out;
          },
          Order::bilinear};
}

double label_at(Index flat) { return static_cast<double>((3 * flat) % 5) / 4; }

Operation cross_entropy(LossReduction reduction) {
  return {"binary cross-entropy",
          {{3, 5}},
          [=](const Inputs& x) {
            const auto labels = DistributedTensor<double>::from_function(
                x[0].distribution(), [](auto i) { return label_at(i[0] * 5 + i[1]); });
            return binary_cross_entropy_with_logits(x[0], labels, reduction);
          },
          [=](const std::vector<Flat>& x) {
            double sum = 0;
            for (std::size_t i = 0; i < x[0].size(); ++i) {
              const double p = 1 / (1 + std::exp(-x[0][i]));
              const double y = label_at(static_cast<Index>(i));
              sum -= y * std::log(p) + (1 - y) * std::log(1 - p);
            }
            return Flat{reduction == LossReduction::sum ? sum : sum / static_cast<double>(x[0].size())};
          },
          Order::other,
          0.25};
}

TEST_CASE("a sum takes operands that are placed alike") {
  for (const auto& partition : partitions()) {
    check_pairs(plus(), partition, [](Placement a, Placement b) { return a == b; });
  }
}

TEST_CASE("a product takes operands that are placed alike, or a Partial and a Replicate one") {
  for (const auto& partition : partitions()) {
    check_pairs(times(), partition, [](Placement a, Placement b) {
      return (a == b && !a.is_partial()) || one_partial_one_replicate(a, b);
    });
  }
}

TEST_CASE("dot takes operands that are placed alike, or a Partial and a Replicate one") {
  for (const auto& partition : partitions()) {
    for (const auto& rows : {Shape{3}, Shape{}}) {
      check_pairs(dots(0, rows), partition, [](Placement a, Placement b) {
        return (a == b && !a.is_partial()) || one_partial_one_replicate(a, b);
      });
    }
  }
}

TEST_CASE("dot with several rows for each") {
  for (const auto& partition : partitions()) {
    check_pairs(dots(2), partition, [](Placement a, Placement b) {
      if (a.is_shard(1)) return b.is_shard(2);
      return (a == b && !a.is_partial()) || one_partial_one_replicate(a, b);
    });
  }
}

TEST_CASE("redistribute to one placement on every axis; the norm of a variable") {
  for (const auto& partition : partitions()) {
    Batch batch;
    for (const auto& topology : topologies(partition)) {
      const int axes = topology.grid().axes();
      for (const auto& from : all_placements(axes, 2)) {
        for (const auto& to : all_placements(1, 2)) {
          const Operation operation{"redistribute to one placement",
                                    {{3, 5}},
                                    [&](const Inputs& x) { return redistribute(x[0], to[0]); },
                                    [](const std::vector<Flat>& x) { return x[0]; }};
          check_operation(operation, {Distribution(topology, {3, 5}, from)}, Expected(operation), batch);
        }
        const auto x = tensor({topology, {3, 5}, from}, numbers_of(0));
        const auto whole = redistribute(x, Replicate{});
        CHECK(whole.distribution() == Distribution(topology, {3, 5}, Placements(from.size(), Replicate{})));
        CHECK(norm(Variable<double>(x)) == norm(x));
      }
    }
    batch.verify();
  }
}

TEST_CASE("the sum over the elements of a tensor in any placement") {
  for (const auto& partition : partitions()) check_single(summation(), partition, true);
}

TEST_CASE("binary cross-entropy of logits in any placement but Partial") {
  for (const auto reduction : {LossReduction::mean, LossReduction::sum}) {
    for (const auto& partition : partitions()) check_single(cross_entropy(reduction), partition, false);
  }
}

TEST_CASE("binary cross-entropy far from zero") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto large = [](auto i) { return i[0] % 2 == 0 ? 800.0 : -800.0; };
  const auto x =
      Variable<double>::parameter("x", DistributedTensor<double>::from_function({topology, {5}, {Shard{0}}}, large));
  const auto y = DistributedTensor<double>::from_function(x.distribution(), [](auto i) { return i[0] < 2 ? 1 : 0; });
  GradientTape tape;
  const auto loss = binary_cross_entropy_with_logits(x, y, LossReduction::sum);
  tape.backward(loss);
  Batch batch;
  check_logical(loss.value(), {0 + 800.0 + 800 + 0 + 800}, 1e-9, "loss", batch);
  check_logical(x.dense_gradient(), {0, -1, 1, 0, 1}, 1e-12, "gradient", batch);
  batch.verify();
}

TEST_CASE("redistribute between all placements on one axis, and from each to several on two") {
  for (const auto& partition : partitions()) {
    Batch batch;
    for (const auto& topology : topologies(partition)) {
      const auto choices = all_placements(topology.grid().axes(), 2);
      for (std::size_t from = 0; from < choices.size(); ++from) {
        for (std::size_t to = 0; to < choices.size(); ++to) {
          if (topology.grid().axes() == 2 && (to + from) % 6 != 0) continue;
          const Distribution target(topology, {3, 5}, choices[to]);
          const Operation operation{"redistribute to " + target.to_string(),
                                    {{3, 5}},
                                    [&](const Inputs& x) { return redistribute(x[0], target); },
                                    [](const std::vector<Flat>& x) { return x[0]; }};
          check_operation(operation, {Distribution(topology, {3, 5}, choices[from])}, Expected(operation), batch);
        }
      }
    }
    batch.verify();
  }
}

TEST_CASE("redistribute to another topology and back in the backward pass") {
  if (world().size() == 1) return;
  const Partition all(world());
  const auto wide = all.cartesian({world().size()});
  const auto narrow = all.first(world().size() - 1).cartesian({world().size() - 1, 1});
  Batch batch;
  for (const auto& from : all_placements(1, 2)) {
    for (const auto& to : all_placements(2, 2)) {
      const Distribution target(narrow, {3, 5}, to);
      const Operation operation{"redistribute to " + target.to_string(),
                                {{3, 5}},
                                [&](const Inputs& x) { return redistribute(x[0], target); },
                                [](const std::vector<Flat>& x) { return x[0]; }};
      check_operation(operation, {Distribution(wide, {3, 5}, from)}, Expected(operation), batch);
    }
  }
  batch.verify();
}

TEST_CASE("what several axes shard must nest alike, and given blocks must be alike") {
  const int n = world().size();
  SameTexts texts;
  for (const auto& grid : factorisations(n, 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    const Distribution plain(topology, {9, 4}, {Shard{0}, Shard{0}});
    const Distribution other(topology, {9, 4}, {Shard{0}, Shard{0}}, {.nesting = {1, 0}});
    const bool alike = grid[0] == 1 || grid[1] == 1;
    const DistributedTensor<double> x = laid_out<double>(plain);
    const DistributedTensor<double> y = laid_out<double>(other);
    for (const auto& apply : {plus().apply, times().apply, dots(0).apply}) {
      const auto text = texts.of([&] { apply({x, y}); });
      CHECK((text == "no error") == alike);
    }
    const auto labels = texts.of([&] { binary_cross_entropy_with_logits(Variable<double>(x), y); });
    CHECK((labels == "no error") == alike);
  }
  const auto topology = Partition(world()).cartesian({n});
  std::vector<Index> blocks(static_cast<std::size_t>(n), 0);
  blocks.back() = 9;
  const Distribution balanced(topology, {9, 4}, {Shard{0}});
  const Distribution uneven(topology, {9, 4}, {Shard{0}}, {.block_extents = {{0, blocks}}});
  const auto text = texts.of([&] { plus().apply({laid_out<double>(balanced), laid_out<double>(uneven)}); });
  CHECK((text == "no error") == (n == 1));
  texts.verify();

  Batch batch;
  for (const auto& operation : {plus(), times(), dots(0)}) {
    std::vector<Index> given(static_cast<std::size_t>(n), 0);
    given.back() = 5;
    const Distribution d(topology, {3, 5}, {Shard{1}}, {.block_extents = {{0, given}}});
    check_operation(operation, {d, d}, Expected(operation), batch);
  }
  batch.verify();
}

TEST_CASE("refusals name the call that places an operand as it has to lie") {
  const auto topology = Partition(world()).cartesian({1, world().size()});
  const auto on = [&](Placement placement, Shape shape = {3, 5}) {
    return Variable<double>(DistributedTensor<double>::zeros({topology, std::move(shape), {Replicate{}, placement}}));
  };
  SameTexts texts;
  const auto says = [&](const std::string& part, const auto& call) {
    const auto text = texts.of(call);
    INFO(text);
    CHECK(contains(text, "redistribute(" + part + ")"));
  };
  const auto rows = on(Shard{0}), columns = on(Shard{1}), terms = on(Partial{});
  says("b, [Replicate, Shard(0)]", [&] { rows + columns; });
  says("b, [Replicate, Partial]", [&] { terms + rows; });
  says("b, [Replicate, Shard(1)]", [&] { columns* terms; });
  says("b, [Replicate, Replicate]", [&] { terms* terms; });
  says("b, [Replicate, Shard(0)]", [&] { dot(rows, columns); });
  says("b, [Replicate, Replicate]", [&] { dot(terms, terms); });
  says("x, [Replicate, Replicate]", [&] { binary_cross_entropy_with_logits(terms, terms.value()); });
  says("y, [Replicate, Shard(0)]", [&] { binary_cross_entropy_with_logits(rows, columns.value()); });
  CHECK_FALSE(contains(texts.of([&] { rows + on(Shard{0}, {5, 3}); }), "redistribute"));
  texts.verify();
}

TEST_CASE("operands of different shapes or grids are refused") {
  const auto topology = Partition(world()).cartesian({world().size(), 1});
  const auto turned = Partition(world()).cartesian({1, world().size()});
  const auto on = [](const CartesianTopology& t, Shape shape) {
    return Variable<double>(DistributedTensor<double>::zeros({t, std::move(shape), {Replicate{}, Replicate{}}}));
  };
  SameTexts texts;
  const auto a = on(topology, {3, 5});
  const auto refuses = [&](const auto& call) { CHECK(texts.of(call) != "no error"); };
  for (const auto& b : {on(topology, {5, 3}), on(topology, {3}), on(topology, {3, 1, 1, 5})}) {
    refuses([&] { a + b; });
    refuses([&] { a - b; });
    refuses([&] { a* b; });
    refuses([&] { dot(a, b); });
    refuses([&] { binary_cross_entropy_with_logits(a, b.value()); });
  }
  refuses([&] { dot(on(topology, {}), on(topology, {})); });
  refuses([&] { dot(on(topology, {3, 2, 5}), a); });
  refuses([&] { redistribute(a, Distribution(topology, {5, 3}, {Replicate{}, Replicate{}})); });
  if (world().size() > 1) {
    refuses([&] { a + on(turned, {3, 5}); });
    refuses([&] { a* on(turned, {3, 5}); });
    refuses([&] { dot(a, on(turned, {3, 5})); });
    // The same grid of the same ranks in another order, and one of fewer axes.
    std::vector<int> backwards(static_cast<std::size_t>(world().size()));
    std::iota(backwards.rbegin(), backwards.rend(), 0);
    const auto reversed = Partition(world()).subset(backwards).cartesian({world().size(), 1});
    refuses([&] { a + on(reversed, {3, 5}); });
    refuses([&] { dot(a, on(reversed, {3, 5})); });
    const auto line = Partition(world()).cartesian({world().size()});
    const Variable<double> of_line(DistributedTensor<double>::zeros({line, {3, 5}, {Replicate{}}}));
    refuses([&] { dot(a, of_line); });
    refuses([&] { dot(of_line, a); });
  }
  texts.verify();
}

TEST_CASE("vectors, numbers and empty tensors") {
  const auto topology = Partition(world()).cartesian({world().size()});
  Batch batch;
  const auto vector = [&](Numbers numbers) {
    return Variable<double>::parameter("v", laid_out<double>({topology, {5}, {Shard{0}}}, numbers));
  };
  const auto a = vector({1, 1});
  const auto b = vector({2, -3});
  {
    GradientTape tape;
    const auto product = dot(a, b);
    check_logical(product.value(), {-3 - 2 + 3 + 12 + 25}, 0, "product", batch);
    tape.backward(3.0 * product);
  }
  check_logical(a.dense_gradient(), {-9, -3, 3, 9, 15}, 0, "gradient of a", batch);
  check_logical(b.dense_gradient(), {3, 6, 9, 12, 15}, 0, "gradient of b", batch);

  const auto empty = Variable<double>::parameter("e", DistributedTensor<double>({topology, {0, 4}, {Shard{0}}}));
  {
    GradientTape tape;
    const auto nothing = sum(empty * empty);
    check_logical(nothing.value(), {0}, 0, "sum of nothing", batch);
    tape.backward(nothing);
  }
  CHECK(empty.dense_gradient().local().elements() == 0);
  check_logical(dot(empty, empty).value(), {}, 0, "no rows", batch);

  const auto hollow = Variable<double>::parameter("h", DistributedTensor<double>({topology, {3, 0}, {Shard{0}}}));
  check_logical(dot(hollow, hollow).value(), {0, 0, 0}, 0, "rows of no columns", batch);
  batch.verify();
}

}  // namespace
}  // namespace tartan
