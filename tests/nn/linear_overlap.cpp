// Backward, a linear layer computes its weight's gradient beside the reduction of x's: nothing else changes by that.

#include <tartan/nn/linear.hpp>

#include "autograd/check_placements.hpp"
#include "nn/linear_oracle.hpp"
#include "nn/oracle.hpp"

namespace tartan {
namespace {

using namespace testing;

Variable<double> as_input(const Distribution& d, const Flat& whole) {
  return Variable<double>::parameter("x", placed(d, whole));
}

TEST_CASE("the product for the weight beside the reduction of x's gradient: the same numbers, calls and order") {
  constexpr Index in = 5, hidden = 300, rows = 6;
  const int n = world().size();
  const auto topology = Partition(world()).cartesian({n});
  const auto x_values = some_upstream<double>(rows * in);
  const auto upstream = some_upstream<double>(rows * in);
  const auto up_w = initial("up.weight", 0, hidden * in, in);
  const auto down_w = initial("down.weight", 0, in * hidden, hidden);
  const Dense forward(x_values, up_w, initial("up.bias", 0, hidden, in), Flat(static_cast<std::size_t>(rows * hidden)),
                      in, hidden);
  const Dense second(forward.y, down_w, initial("down.bias", 0, in, hidden), upstream, hidden, in);
  const Dense first(x_values, up_w, initial("up.bias", 0, hidden, in), second.to_x, in, hidden);
  Batch batch;
  for (const bool overlap : {true, false}) {
    for (const Placement sequence : {Placement(Replicate{}), Placement(Shard{0})}) {
      const DistributedLinear<double> up(
          topology, {.name = "up", .in_features = in, .out_features = hidden, .dim = 1, .overlap = overlap});
      const DistributedLinear<double> down(topology, {.name = "down",
                                                      .in_features = hidden,
                                                      .out_features = in,
                                                      .dim = 0,
                                                      .output = sequence,
                                                      .overlap = overlap});
      const auto x = as_input({topology, {rows, in}, {sequence}}, x_values);
      const auto label = std::string(overlap ? "overlap" : "one after the other") + ", x " + sequence.to_string();
      INFO(label);
      GradientTape tape;
      // Behind a scale, so that the reduction comes in the midst of the pass.
      const auto scaled = 1.0 * x;
      const auto y = down(up(scaled));
      const auto loss = testing::loss_of(y, upstream);
      const Calls calls = n == 1                ? Calls{}
                          : sequence.is_shard() ? Calls{.all_gather = 1, .reduce_scatter = 1}
                                                : Calls{.all_reduce = 1};
      check_calls(label, calls, [&] { tape.backward(loss); });
      check_logical(x.dense_gradient(), first.to_x, 1e-12, label + ", x", batch);
      check_logical(up.weight().dense_gradient(), first.to_weight, 1e-12, label + ", up", batch);
      check_logical(down.weight().dense_gradient(), second.to_weight, 1e-12, label + ", down", batch);
      check_logical(up.bias().dense_gradient(), first.to_bias, 1e-12, label + ", bias", batch);
    }
  }
  batch.verify();
}

TEST_CASE("weights that are used twice, and squares, whatever was put off") {
  constexpr Index n = 4;  // x and the weight lie alike
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto x_values = some_upstream<double>(n * n);
  const auto w = initial("linear.weight", 0, n * n, n);
  const auto upstream = some_upstream<double>(n * n);
  const Dense once(x_values, w, {}, Flat(x_values.size()), n, n);
  const Dense twice(once.y, w, {}, upstream, n, n);
  const Dense before(x_values, w, {}, twice.to_x, n, n);
  auto expected = before.to_weight;
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += twice.to_weight[i];
  Batch batch;
  for (const bool overlap : {true, false}) {
    const DistributedLinear<double> layer(
        topology,
        {.in_features = n, .out_features = n, .bias = false, .dim = 1, .gather_output = true, .overlap = overlap});
    const auto x = as_input({topology, {n, n}, {Replicate{}}}, x_values);
    GradientTape tape;
    const auto y = layer(layer(1.0 * x));
    // And a weight that is the result of an operation.
    const auto scaled = 1.0 * layer.weight();
    const auto z = functional::linear(1.0 * x, scaled, {}, {.overlap = overlap});
    tape.backward(testing::loss_of(y, upstream) + redistribute(sum(z), Replicate{}));
    auto with_sum = expected;
    for (Index o = 0; o < n; ++o) {
      for (Index c = 0; c < n; ++c) {
        for (Index r = 0; r < n; ++r) {
          with_sum[static_cast<std::size_t>(o * n + c)] += x_values[static_cast<std::size_t>(r * n + c)];
        }
      }
    }
    check_logical(layer.weight().dense_gradient(), with_sum, 1e-12, "weight", batch);
  }
  batch.verify();
}

TEST_CASE("a rule that replays a tape of its own sees what was put off around it") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto numbers = some_upstream<double>(16);
  std::vector<Flat> gradients;
  for (const bool again : {false, true}) {
    const auto x = as_input({topology, {4, 4}, {Replicate{}}}, numbers);
    const auto w = Variable<double>::parameter("w", placed(Distribution(topology, {4, 4}, {Shard{0}}), numbers));
    GradientTape tape;
    const auto a = 1.0 * x;
    Variable<double> h;
    if (again) {
      // The first product is not kept but made again, and differentiated, when its gradient is there.
      DistributedTensor<double> value;
      {
        const GradientTape unused;
        value = functional::linear(Variable<double>(x.value()), w).value();
      }
      h = Variable<double>::result(value, true);
      tape.record("a product made again", [x, w, h] {
        const auto g = h.take_contributions();
        if (!g) return;
        const auto inside = Variable<double>::parameter("inside", x.value());
        GradientTape inner;
        inner.backward(redistribute(sum(functional::linear(inside, w) * Variable<double>(*g)), Replicate{}));
        x.contribute(inside.gradient());
      });
    } else {
      h = functional::linear(1.0 * x, w);
    }
    const auto z = functional::linear(a, w);
    tape.backward(redistribute(sum(h * h + z), Replicate{}));
    for (const auto& parameter : {x, w}) {
      const auto whole = parameter.dense_gradient().full_tensor();
      gradients.emplace_back(whole.span().begin(), whole.span().end());
    }
  }
  CHECK(largest_difference(gradients[0], gradients[2]) <= 1e-12);
  CHECK(largest_difference(gradients[1], gradients[3]) <= 1e-12);
}

TEST_CASE("layers on different ranks, which do not put off the same work") {
  const Partition all(world());
  const auto wide = all.cartesian({world().size()});
  const int few = std::max(1, world().size() - 1);
  const auto narrow = all.first(few).cartesian({few});
  const auto from_top = [](std::span<const Index> i) { return static_cast<double>(1 + i[0] + 10 * i[1]); };
  const auto parameter = [&](const char* name, const CartesianTopology& topology, const Shape& shape,
                             Placement placement) {
    return Variable<double>::parameter(
        name, DistributedTensor<double>::from_function({topology, shape, {placement}}, from_top));
  };
  const auto x = parameter("x", wide, {2, 3}, Replicate{});
  const auto u = parameter("u", narrow, {2, 3}, Replicate{});
  const auto w = parameter("w", wide, {5, 3}, Shard{0});
  const auto t = parameter("t", narrow, {7, 3}, Shard{0});
  GradientTape tape;
  const auto h = 1.0 * x;
  const auto v = 1.0 * u;
  const auto z = functional::linear(v, t);  // backward, its work is done in the reduction of v's gradient, on few ranks
  const auto y = functional::linear(h, w);
  const Distribution number(wide, Shape{}, {Replicate{}});
  tape.backward(redistribute(sum(y), number) + redistribute(sum(z), number));

  Batch batch;
  const auto of_x = [](Index outs) {
    Flat gradient;
    for (Index i = 0; i < 6; ++i) {
      double total = 0;
      for (Index o = 0; o < outs; ++o) total += static_cast<double>(1 + o + 10 * (i % 3));
      gradient.push_back(total);
    }
    return gradient;
  };
  const auto of_weight = [](Index outs) {
    Flat gradient;
    for (Index i = 0; i < outs * 3; ++i) gradient.push_back(static_cast<double>(1 + 2 + 20 * (i % 3)));
    return gradient;
  };
  check_logical(x.dense_gradient(), of_x(5), 0, "x", batch);
  check_logical(u.dense_gradient(), of_x(7), 0, "u", batch);
  check_logical(w.dense_gradient(), of_weight(5), 0, "w", batch);
  check_logical(t.dense_gradient(), of_weight(7), 0, "t", batch);
  batch.verify();
}

}  // namespace
}  // namespace tartan
