// Attention in every combination of placements that it takes, against the formula written out.

#include <tartan/autograd/attention.hpp>

#include <algorithm>
#include <limits>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

struct Sizes {
  std::size_t batch, queries, keys, heads, width, values;
};

Operation attention(Sizes n, AttentionOptions options) {
  const double scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(n.width)));
  const auto shape = [&](std::size_t sequence, std::size_t width) {
    std::vector<Index> extents;
    for (const auto extent : {n.batch, sequence, n.heads, width}) extents.push_back(static_cast<Index>(extent));
    return Shape(extents);
  };
  return {"attention",
          {shape(n.queries, n.width), shape(n.keys, n.width), shape(n.keys, n.values)},
          [=](const Inputs& x) { return scaled_dot_product_attention(x[0], x[1], x[2], options); },
          [=](const std::vector<Flat>& x) {
            Flat out(n.batch * n.queries * n.heads * n.values);
            for (std::size_t b = 0; b < n.batch; ++b) {
              for (std::size_t h = 0; h < n.heads; ++h) {
                for (std::size_t s = 0; s < n.queries; ++s) {
                  const std::size_t seen = options.causal ? std::min(s + 1, n.keys) : n.keys;
                  const std::size_t row = (b * n.queries + s) * n.heads + h;
                  Flat p;
                  double sum = 0;
                  for (std::size_t r = 0; r < seen; ++r) {
                    double product = 0;
                    for (std::size_t c = 0; c < n.width; ++c) {
                      product += x[0][row * n.width + c] * x[1][((b * n.keys + r) * n.heads + h) * n.width + c];
                    }
                    p.push_back(std::exp(scale * product));
                    sum += p.back();
                  }
                  for (std::size_t r = 0; r < seen; ++r) {
                    for (std::size_t c = 0; c < n.values; ++c) {
                      out[row * n.values + c] += p[r] / sum * x[2][((b * n.keys + r) * n.heads + h) * n.values + c];
                    }
                  }
                }
              }
            }
            return out;
          },
          Order::other,
          1.0 / 64};
}

const std::vector<Placements> cells{{Shard{0}, Shard{0}, Shard{0}},
                                    {Shard{2}, Shard{2}, Shard{2}},
                                    {Replicate{}, Replicate{}, Replicate{}},
                                    {Root{}, Root{}, Root{}}};

TEST_CASE("attention with and without a causal mask on every grid") {
  for (const bool causal : {false, true}) {
    for (const auto& partition : partitions()) {
      check_cells(attention({2, 4, 4, 3, 2, 2}, {.causal = causal}), partition, cells);
    }
  }
}

TEST_CASE("attention to a sequence of another length, values of another width, another scale") {
  const Partition all(world());
  check_cells(attention({1, 3, 5, 2, 2, 3}, {.scale = 0.25}), all, cells);
  check_cells(attention({2, 5, 3, 2, 2, 1}, {.causal = true}), all, cells);
}

TEST_CASE("attention over more queries than a tile has") {
  const Sizes n{1, 300, 300, 2, 4, 4};
  const auto operation = attention(n, {.causal = true});
  const auto topology = Partition(world()).cartesian({world().size()});
  Inputs inputs;
  std::vector<Flat> flats;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto value_at = [=](Index flat) { return std::sin(static_cast<double>(flat + 7 * static_cast<Index>(i))); };
    Flat values;
    for (Index flat = 0; flat < operation.shapes[i].elements(); ++flat) values.push_back(value_at(flat));
    flats.push_back(values);
    const Distribution d(topology, operation.shapes[i], {Shard{2}});
    inputs.push_back(Variable<double>::parameter(
        "x", DistributedTensor<double>::from_function(
                 d, [&](std::span<const Index> at) { return value_at(d.shape().flat(at)); })));
  }
  Batch batch;
  GradientTape tape;
  const auto y = operation.apply(inputs);
  const auto expected = operation.meaning(flats);
  check_logical(y.value(), expected, 1e-13, "value", batch);
  const auto loss = sum(y * y);
  tape.backward(loss);
  // The derivative of the loss along one direction, from the gradients and from the formula.
  const auto along = [&](double step) {
    auto moved = flats;
    for (auto& values : moved) {
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += step * std::cos(static_cast<double>(3 * i));
    }
    double total = 0;
    for (const double value : operation.meaning(moved)) total += value * value;
    return total;
  };
  double mine = 0;
  for (const auto& input : inputs) {
    const auto direction = DistributedTensor<double>::from_function(
        input.distribution(),
        [&](std::span<const Index> at) { return std::cos(3.0 * static_cast<double>(input.shape().flat(at))); });
    mine += share_of_product(input.dense_gradient(), direction);
  }
  const double slope = (along(1e-5) - along(-1e-5)) / 2e-5;
  batch.add("slope", {mine}, [=](const Flat& sum) { CHECK(sum[0] == Approx(slope).epsilon(1e-7)); });
  batch.verify();
}

TEMPLATE_TEST_CASE("attention in half precision adds in float and rounds once", "", bfloat16, half) {
  using T = TestType;
  const auto operation = attention({2, 5, 5, 4, 3, 3}, {.causal = true});
  const auto topology = Partition(world()).cartesian({world().size()});
  std::vector<Variable<T>> inputs;
  std::vector<Flat> flats;
  for (Index i = 0; i < 3; ++i) {
    const auto value_at = [=](Index flat) { return T(std::sin(static_cast<double>(flat + 7 * i))); };
    Flat values;
    for (Index flat = 0; flat < operation.shapes[0].elements(); ++flat) {
      values.push_back(static_cast<double>(value_at(flat)));
    }
    flats.push_back(std::move(values));
    const Distribution d(topology, operation.shapes[0], {Shard{2}});
    inputs.push_back(Variable<T>::parameter("x", DistributedTensor<T>::from_function(d, [&](std::span<const Index> at) {
                                              return value_at(d.shape().flat(at));
                                            })));
  }
  GradientTape tape;
  const auto y = scaled_dot_product_attention(inputs[0], inputs[1], inputs[2], {.causal = true});
  const auto expected = operation.meaning(flats);
  const auto whole = y.value().full_tensor();
  const auto unit = static_cast<double>(std::numeric_limits<T>::epsilon());
  for (Index i = 0; i < whole.elements(); ++i) {
    const double value = expected[static_cast<std::size_t>(i)];
    CHECK(std::abs(static_cast<double>(whole[i]) - value) <= unit / 2 * std::abs(value) + 1e-6);
  }
  tape.backward(sum(y));
  // The first row sees itself only: its gradient by q is 0.
  for (const auto& x : {inputs[0], inputs[1]}) {
    const auto gradient = x.dense_gradient().full_tensor();
    double sum_of_squares = 0;
    for (const T value : gradient.span()) {
      sum_of_squares += static_cast<double>(value) * static_cast<double>(value);
    }
    CHECK(sum_of_squares > 0);
  }
  const auto by_q = inputs[0].dense_gradient().full_tensor();
  for (Index i = 0; i < 12; ++i) CHECK(std::abs(static_cast<double>(by_q[i])) <= 1e-6);
}

TEST_CASE("attention of an empty batch, of no heads and to no keys") {
  const auto topology = Partition(world()).cartesian({world().size()});
  Batch batch;
  for (const auto& shape : {Shape{0, 3, 2, 2}, Shape{2, 3, 0, 2}, Shape{2, 0, 2, 2}}) {
    const auto x = Variable<double>::parameter("x", DistributedTensor<double>::zeros({topology, shape, {Shard{0}}}));
    GradientTape tape;
    tape.backward(sum(scaled_dot_product_attention(x, x, x, {.causal = true})));
    CHECK(x.dense_gradient().local().elements() == 0);
  }
  const Variable<double> q(DistributedTensor<double>::zeros({topology, {1, 3, 2, 2}, {Shard{2}}}));
  const Variable<double> none(DistributedTensor<double>::zeros({topology, {1, 0, 2, 2}, {Shard{2}}}));
  check_logical(scaled_dot_product_attention(q, none, none).value(), Flat(12), 0, "no keys", batch);
  batch.verify();
}

TEST_CASE("attention refuses cut sequences, Partial tensors and operands that do not meet, on every rank") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto on = [&](Shape shape, Placement placement) {
    return Variable<double>(DistributedTensor<double>::zeros({topology, std::move(shape), {placement}}));
  };
  SameTexts texts;
  const auto refuses = [&](const std::string& part, const auto& q, const auto& k, const auto& v) {
    const auto text = texts.of([&] { scaled_dot_product_attention(q, k, v); });
    INFO(text);
    CHECK(contains(text, part));
  };
  const Shape shape{2, 4, 3, 2};
  for (const auto& placement : {Placement(Shard{1}), Placement(Shard{3}), Placement(Partial{})}) {
    const auto x = on(shape, placement);
    refuses(x.distribution().to_string(), x, x, x);
  }
  const auto x = on(shape, Shard{0});
  refuses("redistribute(q, [Replicate])", on(shape, Shard{1}), x, x);
  refuses("placed alike", x, on(shape, Shard{2}), x);
  refuses("; redistribute(v, [Shard(0)])", x, x, on(shape, Replicate{}));
  refuses("; redistribute(k, [Shard(0)]); redistribute(v, [Shard(0)])", x, on(shape, Shard{2}), on(shape, Root{}));
  for (const auto& other : {Shape{2, 4, 3, 3}, Shape{1, 4, 3, 2}, Shape{2, 4, 2, 2}, Shape{2, 4, 6}}) {
    refuses("not the shapes", x, on(other, Replicate{}), x);
  }
  refuses("not the shapes", x, x, on({2, 5, 3, 2}, Shard{0}));
  texts.verify();
}

}  // namespace
}  // namespace tartan
