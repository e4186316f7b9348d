// What a linear layer does besides: parts, units, given values, frozen ones, x and output that lie otherwise.

#include <tartan/nn/linear.hpp>

#include "autograd/check_placements.hpp"
#include "nn/linear_oracle.hpp"
#include "nn/oracle.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr LinearAxes all_axes{.data = 0, .out = 1, .in = 2};

Variable<double> as_input(const Distribution& d, const Flat& whole) {
  return Variable<double>::parameter("x", placed(d, whole));
}

/// Collective. Values and all gradients of a layer for x placed as `d`.
void check_layer(const std::string& label, const DistributedLinear<double>& layer, const Distribution& d,
                 const Flat& x_values, const Flat& upstream, const Dense& expected, Batch& batch) {
  INFO(label);
  auto weight = layer.weight();
  auto bias = layer.bias();
  weight.clear_gradient();
  bias.clear_gradient();
  const auto x = as_input(d, x_values);
  GradientTape tape;
  const auto y = layer(x);
  check_logical(y.value(), expected.y, 1e-12, label + ", y", batch);
  tape.backward(testing::loss_of(y, upstream));
  check_logical(x.dense_gradient(), expected.to_x, 1e-12, label + ", x", batch);
  if (layer.options().freeze) return;
  check_logical(weight.dense_gradient(), expected.to_weight, 1e-12, label + ", weight", batch);
  if (!bias.is_null()) check_logical(bias.dense_gradient(), expected.to_bias, 1e-12, label + ", bias", batch);
}

TEST_CASE("a fused projection: every rank has its share of every part, and values do not depend on the grid") {
  constexpr Index in = 5, parts = 3, each = 4, rows = 6;
  const auto x_values = some_upstream<double>(rows * in);
  const auto upstream = some_upstream<double>(rows * parts * each);
  const auto w = initial("qkv.weight", 0, parts * each * in, in);
  const auto b = initial("qkv.bias", 0, parts * each, in);
  const Dense expected(x_values, w, b, upstream, in, parts * each);
  Batch batch;
  for (const auto& partition : partitions()) {
    for (const auto& grid : factorisations(partition.size(), 3)) {
      const auto topology = partition.cartesian(grid);
      for (const Index unit : {1, 2}) {
        for (const auto& storage : storages()) {
          const DistributedLinear<double> layer(topology, {.name = "qkv",
                                                           .in_features = in,
                                                           .out_features = parts * each,
                                                           .axes = all_axes,
                                                           .storage = storage,
                                                           .parts = parts,
                                                           .out_unit = unit});
          CHECK(layer.weight().shape() == Shape{parts, each, in});
          CHECK(layer.bias().shape() == Shape{parts, each});
          check_logical(layer.weight().value(), w, 0, "weight", batch);
          const auto d = layer.input_distribution({rows, in});
          const auto y = layer(Variable<double>(placed(d, x_values)));
          CHECK(y.shape() == Shape{rows, parts, each});
          if (topology.active()) {
            CHECK(y.distribution().placements() == Placements{Shard{0}, Shard{2}, Replicate{}});
            CHECK(y.value().local().shape()[1] == parts);
            CHECK(y.value().local().shape()[2] % unit == 0);
          }
          check_layer("fused, storage " + storage.to_string() + " on " + grid.to_string(), layer, d, x_values, upstream,
                      expected, batch);
        }
      }
    }
  }
  batch.verify();
}

TEST_CASE("units: blocks of whole heads out of one layer and into the next") {
  constexpr Index in = 6, heads = 3, head = 2, rows = 4;
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n});
  const DistributedLinear<double> first(
      topology, {.name = "first", .in_features = in, .out_features = heads * head, .dim = 1, .out_unit = head});
  const DistributedLinear<double> second(
      topology, {.name = "second", .in_features = heads * head, .out_features = 5, .dim = 0, .in_unit = head});
  const DistributedLinear<double> unaware(topology,
                                          {.name = "second", .in_features = heads * head, .out_features = 5, .dim = 0});
  for (const auto& tensor : {first.weight().value(), first.bias().value()}) {
    CHECK(tensor.local().shape()[0] % head == 0);
  }
  const auto x_values = some_upstream<double>(rows * in);
  const Dense hidden(x_values, initial("first.weight", 0, heads * head * in, in),
                     initial("first.bias", 0, heads * head, in), Flat(static_cast<std::size_t>(rows * heads * head)),
                     in, heads * head);
  const Dense expected(hidden.y, initial("second.weight", 0, 5 * heads * head, heads * head),
                       initial("second.bias", 0, 5, heads * head), Flat(static_cast<std::size_t>(rows * 5)),
                       heads * head, 5);
  Batch batch;
  const Variable<double> x(placed(first.input_distribution({rows, in}), x_values));
  const auto y = first(x);
  check_calls("as they lie", n > 1 ? Calls{.all_reduce = 1} : Calls{},
              [&] { check_logical(second(y).value(), expected.y, 1e-12, "units", batch); });
  check_logical(unaware(y).value(), expected.y, 1e-12, "other blocks", batch);
  batch.verify();
}

TEST_CASE("a frozen layer gives x its gradient and has no parameters") {
  constexpr Index in = 5, out = 4, rows = 3;
  const auto topology = Partition(world()).cartesian({1, world().size()});
  const auto x_values = some_upstream<double>(rows * in);
  const auto upstream = some_upstream<double>(rows * out);
  const Dense expected(x_values, initial("linear.weight", 0, out * in, in), initial("linear.bias", 0, out, in),
                       upstream, in, out);
  Batch batch;
  for (const int dim : {0, 1}) {
    const DistributedLinear<double> layer(topology,
                                          {.in_features = in, .out_features = out, .dim = dim, .freeze = true});
    CHECK(layer.parameters().empty());
    CHECK(!layer.weight().requires_gradient());
    CHECK(!layer.bias().requires_gradient());
    check_layer("frozen", layer, layer.input_distribution({rows, in}), x_values, upstream, expected, batch);
  }
  const auto weight = Variable<double>::parameter(
      "w", placed({topology, {out, in}, {Replicate{}, Shard{0}}}, initial("linear.weight", 0, out * in, in)));
  const DistributedLinear<double> tied(weight, {.dim = 1, .freeze = true});
  check_layer("frozen, on a weight", tied, tied.input_distribution({rows, in}), x_values, upstream, expected, batch);
  CHECK(!weight.has_gradient());
  batch.verify();
}

TEST_CASE("a layer of given values, wherever they lie") {
  constexpr Index in = 5, out = 6, rows = 3;
  const auto x_values = some_upstream<double>(rows * in);
  const auto upstream = some_upstream<double>(rows * out);
  const auto w = some_upstream<double>(out * in);
  const auto b = initial("given", 0, out, in);
  const Dense expected(x_values, w, b, upstream, in, out);
  const Dense without(x_values, w, {}, upstream, in, out);
  const Partition all(world());
  const auto elsewhere = all.cartesian({all.size()});
  Batch batch;
  for (const auto& grid : factorisations(all.size(), 3)) {
    const auto topology = all.cartesian(grid);
    for (const Index parts : {1, 2}) {
      for (const auto& placement :
           {Placement(Root{}), Placement(Shard{0}), Placement(Shard{1}), Placement(Replicate{})}) {
        const auto label = std::to_string(parts) + " parts on " + grid.to_string() + " from " + placement.to_string();
        const auto given = placed({elsewhere, {out, in}, {placement}}, w);
        const auto bias = placed({elsewhere, {out}, {placement.is_shard() ? Placement(Shard{0}) : placement}}, b);
        const LinearLayerOptions options{.axes = all_axes, .storage = Shard{0}, .parts = parts};
        DistributedLinear<double> layer(topology, given, bias, options);
        CHECK(layer.options().in_features == in);
        CHECK(layer.options().out_features == out);
        check_logical(layer.weight().value(), w, 0, label, batch);
        check_logical(layer.bias().value(), b, 0, label, batch);
        const auto d = layer.input_distribution({rows, in});
        check_layer(label, layer, d, x_values, upstream, expected, batch);
        // The layer's elements are its own.
        initialize(layer.weight(), initializers::constant(0));
        check_logical(given, w, 0, label + ", afterwards", batch);
        const DistributedLinear<double> unbiased(topology, given, {}, options);
        CHECK(!unbiased.options().bias);
        check_layer(label + ", no bias", unbiased, d, x_values, upstream, without, batch);
      }
    }
  }
  const auto parts = placed({elsewhere, {2, out / 2, in}, {Shard{1}}}, w);
  const DistributedLinear<double> fused(elsewhere, parts, {}, {.dim = 1});
  CHECK(fused.options().parts == 2);
  CHECK(fused.weight().distribution() == parts.distribution());
  check_layer("parts that are given", fused, fused.input_distribution({rows, in}), x_values, upstream, without, batch);
  batch.verify();
}

TEST_CASE("a sequence-parallel block: gathered in, reduce-scattered out, in both directions") {
  constexpr Index in = 5, hidden = 7, out = 3, rows = 2, steps = 6;
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({1, n});
  const DistributedLinear<double> up(topology, {.name = "up", .in_features = in, .out_features = hidden, .dim = 1});
  const DistributedLinear<double> down(
      topology, {.name = "down", .in_features = hidden, .out_features = out, .dim = 0, .output = Shard{1}});
  const auto x_values = some_upstream<double>(rows * steps * in);
  const auto upstream = some_upstream<double>(rows * steps * out);
  const auto up_w = initial("up.weight", 0, hidden * in, in);
  const auto down_w = initial("down.weight", 0, out * hidden, hidden);
  const auto up_b = initial("up.bias", 0, hidden, in);
  const Dense forward(x_values, up_w, up_b, Flat(static_cast<std::size_t>(rows * steps * hidden)), in, hidden);
  const Dense second(forward.y, down_w, initial("down.bias", 0, out, hidden), upstream, hidden, out);
  const Dense first(x_values, up_w, up_b, second.to_x, in, hidden);
  Batch batch;
  const Calls calls = n > 1 ? Calls{.all_gather = 1, .reduce_scatter = 1} : Calls{};
  const auto x = as_input({topology, {rows, steps, in}, {Replicate{}, Shard{1}}}, x_values);
  GradientTape tape;
  Variable<double> y;
  check_calls("forward", calls, [&] { y = down(up(x)); });
  CHECK(y.distribution() == Distribution(topology, {rows, steps, out}, {Replicate{}, Shard{1}}));
  check_logical(y.value(), second.y, 1e-12, "y", batch);
  const auto loss = testing::loss_of(y, upstream);
  check_calls("backward", calls, [&] { tape.backward(loss); });
  check_logical(x.dense_gradient(), first.to_x, 1e-12, "x", batch);
  check_logical(up.weight().dense_gradient(), first.to_weight, 1e-12, "up", batch);
  check_logical(down.weight().dense_gradient(), second.to_weight, 1e-12, "down", batch);
  batch.verify();
}

TEST_CASE("a gathered output is whole") {
  constexpr Index in = 3, out = 2, rows = 3;  // fewer features than ranks
  const auto x_values = some_upstream<double>(rows * in);
  const auto upstream = some_upstream<double>(rows * out);
  const auto w = initial("linear.weight", 0, out * in, in);
  const Dense expected(x_values, w, initial("linear.bias", 0, out, in), upstream, in, out);
  Batch batch;
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& output : outputs(2)) {
      const DistributedLinear<double> layer(topology, {.in_features = in,
                                                       .out_features = out,
                                                       .axes = all_axes,
                                                       .output = output,
                                                       .gather_output = true,
                                                       .out_unit = 2});
      const auto d = layer.input_distribution({rows, in});
      const auto y = layer(Variable<double>(placed(d, x_values)));
      CHECK(y.distribution() == Distribution(topology, {rows, out}, {Shard{0}, Replicate{}, output}));
      check_layer("gathered", layer, d, x_values, upstream, expected, batch);
    }
  }
  const int n = world().size();
  if (n > 1) {
    const auto line = Partition(world()).cartesian({n});
    const DistributedLinear<double> layer(line,
                                          {.in_features = in, .out_features = out, .dim = 1, .gather_output = true});
    const auto x = as_input(layer.input_distribution({rows, in}), x_values);
    GradientTape tape;
    Variable<double> loss;
    check_calls("forward", {.all_gather = 1}, [&] { loss = sum(layer(x)); });
    check_calls("backward", {.all_reduce = 1}, [&] { tape.backward(loss); });
  }
  batch.verify();
}

TEST_CASE("DistDL's affine layers: broadcast, multiply, sum-reduce, with the two axes swapped from layer to layer") {
  constexpr Index in = 5, hidden = 4, out = 3, rows = 3;
  const auto x_values = some_upstream<double>(rows * in);
  const auto upstream = some_upstream<double>(rows * out);
  const auto w1 = initial("first.weight", 0, hidden * in, in);
  const auto b1 = initial("first.bias", 0, hidden, in);
  const auto w2 = initial("second.weight", 0, out * hidden, hidden);
  const Dense forward(x_values, w1, b1, Flat(static_cast<std::size_t>(rows * hidden)), in, hidden);
  const Dense second(forward.y, w2, initial("second.bias", 0, out, hidden), upstream, hidden, out);
  const Dense first(x_values, w1, b1, second.to_x, in, hidden);
  Batch batch;
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    const DistributedLinear<double> to_hidden(topology, {.name = "first",
                                                         .in_features = in,
                                                         .out_features = hidden,
                                                         .axes = LinearAxes{.out = 0, .in = 1},
                                                         .output = Root{}});
    const DistributedLinear<double> to_out(topology, {.name = "second",
                                                      .in_features = hidden,
                                                      .out_features = out,
                                                      .axes = LinearAxes{.out = 1, .in = 0},
                                                      .output = Root{}});
    const auto x = as_input({topology, {rows, in}, {Root{}, Shard{1}}}, x_values);
    const bool both = grid[0] > 1 && grid[1] > 1;
    GradientTape tape;
    Variable<double> h, y;
    const auto step = [&](const std::string& label, const auto& call) {
      both ? check_calls(label + " on " + grid.to_string(), {.broadcast = 1, .reduce = 1}, call) : call();
    };
    step("first", [&] { h = to_hidden(x); });
    CHECK(h.distribution() == Distribution(topology, {rows, hidden}, {Shard{1}, Root{}}));
    step("second", [&] { y = to_out(h); });
    CHECK(y.distribution() == Distribution(topology, {rows, out}, {Root{}, Shard{1}}));
    check_logical(y.value(), second.y, 1e-12, "y", batch);
    const auto loss = testing::loss_of(y, upstream);
    if (both) {
      // Between the layers, the one's reduce and the other's broadcast are one all-reduce.
      check_calls("backward on " + grid.to_string(), {.broadcast = 1, .reduce = 1, .all_reduce = 1},
                  [&] { tape.backward(loss); });
    } else {
      tape.backward(loss);
    }
    check_logical(x.dense_gradient(), first.to_x, 1e-12, "x", batch);
    check_logical(to_hidden.weight().dense_gradient(), first.to_weight, 1e-12, "first", batch);
    check_logical(to_out.weight().dense_gradient(), second.to_weight, 1e-12, "second", batch);
    check_logical(to_out.bias().dense_gradient(), second.to_bias, 1e-12, "bias", batch);
  }
  batch.verify();
}

TEST_CASE("x that lies otherwise is moved where that is declared, and refused with what would do elsewhere") {
  constexpr Index in = 5, out = 4, rows = 6;
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({1, n});
  const auto x_values = some_upstream<double>(rows * in);
  const auto upstream = some_upstream<double>(rows * out);
  const Dense expected(x_values, initial("linear.weight", 0, out * in, in), initial("linear.bias", 0, out, in),
                       upstream, in, out);
  Batch batch;
  const auto layer = [&](std::optional<int> dim) {
    return DistributedLinear<double>(topology, {.in_features = in, .out_features = out, .dim = dim});
  };
  const auto lies = [&](Placement placement) { return Distribution(topology, {rows, in}, {Replicate{}, placement}); };
  for (const auto& placement : {Placement(Replicate{}), Placement(Shard{0}), Placement(Root{})}) {
    for (const int dim : {0, 1}) {
      check_layer("dim " + std::to_string(dim) + ", x " + placement.to_string(), layer(dim), lies(placement), x_values,
                  upstream, expected, batch);
    }
  }
  check_layer("terms", layer(0), lies(Partial{}), x_values, upstream, expected, batch);
  std::vector<Index> last_has_all(static_cast<std::size_t>(n), 0);
  last_has_all.back() = in;
  check_layer("other blocks", layer(0),
              Distribution(topology, {rows, in}, {Replicate{}, Shard{1}}, {.block_extents = {{1, last_has_all}}}),
              x_values, upstream, expected, batch);
  batch.verify();

  SameTexts texts;
  const auto refused = [&](const DistributedLinear<double>& by, const Distribution& d, const std::string& part) {
    const auto text = texts.of([&] { by(Variable<double>(DistributedTensor<double>::zeros(d))); });
    INFO(text);
    CHECK(contains(text, part));
    CHECK(contains(text, d.to_string()));
  };
  // What follows an embedding whose columns are split, unless one rank has them all.
  for (const auto& dim : {std::optional<int>{}, std::optional<int>{1}}) {
    if (n == 1) break;
    const auto by = layer(dim);
    refused(by, lies(Shard{1}), "name that axis .axes.in (.dim = 0), or pass redistribute(x, [Replicate, Replicate])");
    refused(by, lies(Shard{1}), by.weight().distribution().to_string());
  }
  if (n > 1) {
    refused({topology, {.in_features = in, .out_features = out, .axes = LinearAxes{.out = 1}}}, lies(Shard{1}),
            "name that axis .axes.in, or pass");
  }
  refused(layer(1), lies(Partial{}),
          "Partial and Shard(0) do not meet, but with redistribute(x, [Replicate, Replicate])");
  refused(layer({}), lies(Root{}), "Root and Replicate do not meet, but with redistribute(x, [Replicate, Replicate])");
  const auto other = Partition(world()).cartesian({n});
  refused(layer(1), Distribution(other, {rows, in}, {Replicate{}}),
          "; redistribute(x, layer.input_distribution(x.shape()))");

  // Shapes are found before placements.
  const auto shapes = [&](const std::string& part, const auto& call) {
    const auto text = texts.of(call);
    INFO(text);
    CHECK(contains(text, part));
  };
  shapes("not one of the shape (6, 4)", [&] {
    layer(1)(Variable<double>(DistributedTensor<double>::zeros({topology, {6, 4}, {Partial{}, Shard{1}}})));
  });
  shapes("not the shapes (6, 4) and (4, 5)", [&] {
    functional::linear(Variable<double>(DistributedTensor<double>::zeros({other, {6, 4}, {Shard{1}}})),
                       layer(1).weight());
  });
  shapes("its output of 2 dimensions as Shard(2)", [&] {
    DistributedLinear<double>(topology, {.in_features = in, .out_features = out, .dim = 0, .output = Shard{2}})(
        Variable<double>(DistributedTensor<double>::zeros(lies(Shard{1}))));
  });
  const auto given = [&](Shape weight, Shape bias, LinearLayerOptions options) {
    const auto zeros = [&](Shape shape) {
      return DistributedTensor<double>::zeros({topology, std::move(shape), {Replicate{}, Replicate{}}});
    };
    DistributedLinear<double>(topology, zeros(std::move(weight)), zeros(std::move(bias)), options);
  };
  shapes("a bias of the shape (4), not one of the shape (5)", [&] { given({4, 5}, {5}, {}); });
  shapes("a bias of the shape (2, 2), not one of the shape (2)", [&] { given({4, 5}, {2}, {.parts = 2}); });
  shapes("(4, 6) in 1 parts but was given one of (4, 5)", [&] {
    given({4, 5}, {4}, {.in_features = 6, .out_features = 4});
  });
  const auto made = [&](LinearLayerOptions options) {
    options.in_features = in;
    options.out_features = out;
    DistributedLinear<double>(topology, options);
  };
  shapes("given gather_output, which is of layers that split out_features (.dim = 1",
         [&] { made({.dim = 0, .gather_output = true}); });
  shapes("given the output Shard(0), which is of layers that split in_features (.dim = 0",
         [&] { made({.dim = 1, .output = Shard{0}}); });
  made({.output = Partial{}, .gather_output = true});  // until convert_parallel says what is split
  shapes("in 3 parts but was given one of (2, 2, 5)", [&] { given({2, 2, 5}, {4}, {.parts = 3}); });
  shapes("not one of the shape (4)", [&] { given({4}, {4}, {}); });
  texts.verify();
}

}  // namespace
}  // namespace tartan
