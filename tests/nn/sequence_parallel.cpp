// A block of a transformer with its sequence split: gathered before the products, scattered after them. What it sends,
// and that it means what it means on one rank.

#include <tartan/autograd/activations.hpp>
#include <tartan/comm/recorder.hpp>
#include <tartan/nn/linear.hpp>
#include <tartan/nn/normalization.hpp>

#include <map>

#include "autograd/check_placements.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index features = 6;
constexpr Index hidden = 10;

/// x + row(gelu(column(norm(x)))).
struct Block {
  Block(const CartesianTopology& topology, bool parallel, Placement output)
      : norm(topology, {.features = features}),
        column(topology, {.name = "column",
                          .in_features = features,
                          .out_features = hidden,
                          .dim = parallel ? std::optional(1) : std::nullopt}),
        row(topology, {.name = "row",
                       .in_features = hidden,
                       .out_features = features,
                       .dim = parallel ? std::optional(0) : std::nullopt,
                       .output = output}) {}

  Variable<double> operator()(const Variable<double>& x) const {
    return x + row(gelu(column(redistribute(norm(x), Replicate{}))));
  }

  std::vector<Variable<double>> parameters() const {
    std::vector<Variable<double>> all;
    for (const auto* part : {&norm.parameters(), &column.parameters(), &row.parameters()}) {
      all.insert(all.end(), part->begin(), part->end());
    }
    return all;
  }

  DistributedLayerNorm<double> norm;
  DistributedLinear<double> column;
  DistributedLinear<double> row;
};

using Counts = std::map<Collective, Index>;

Counts counts(const CommRecorder& recorder) {
  Counts result;
  for (const auto& record : recorder.records()) {
    if (record.size > 1 && record.collective != Collective::agreement) ++result[record.collective];
  }
  return result;
}

/// The output, the gradient of x and those of the parameters, whole; and what was sent.
struct Outcome {
  std::vector<Flat> tensors;
  Counts forward, backward;

  Outcome(const Block& block, const Distribution& d) {
    const auto x = Variable<double>::parameter("x", tensor(d, {1, -4}, 0.125));
    GradientTape tape;
    Variable<double> y;
    {
      const CommRecorder recorder;
      y = block(x);
      forward = counts(recorder);
    }
    CHECK(y.distribution() == d);
    const auto loss = sum(y * y);
    {
      const CommRecorder recorder;
      tape.backward(loss);
      backward = counts(recorder);
    }
    keep(y.value());
    keep(x.dense_gradient());
    for (const auto& parameter : block.parameters()) keep(parameter.dense_gradient());
  }

  void keep(const DistributedTensor<double>& t) {
    const auto whole = t.full_tensor();
    tensors.emplace_back(whole.span().begin(), whole.span().end());
  }
};

void check_close(const Outcome& a, const Outcome& b) {
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i) CHECK(largest_difference(a.tensors[i], b.tensors[i]) < 1e-12);
}

TEST_CASE("a sequence-parallel block: one all-gather and one reduce-scatter each way, and one sum for the norm") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const Distribution whole(topology, {2, 7, features}, {Replicate{}});
  const Outcome alone(Block(topology, false, Replicate{}), whole);
  const Outcome parallel(Block(topology, true, Shard{1}), whole.with({Shard{1}}));
  check_close(alone, parallel);
  CHECK(alone.forward == Counts{});
  CHECK(alone.backward == Counts{});
  if (world().size() == 1) return;
  const Counts once{{Collective::all_gather, 1}, {Collective::reduce_scatter, 1}};
  CHECK(parallel.forward == once);
  auto with_norm = once;
  with_norm[Collective::all_reduce] = 1;  // of the norm's weight and bias, in one message
  CHECK(parallel.backward == with_norm);
}

TEST_CASE("a block of two layers with its sequence whole: one all-reduce each way") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const Distribution whole(topology, {2, 7, features}, {Replicate{}});
  const Outcome alone(Block(topology, false, Replicate{}), whole);
  const Outcome parallel(Block(topology, true, Replicate{}), whole);
  check_close(alone, parallel);
  if (world().size() == 1) return;
  const Counts once{{Collective::all_reduce, 1}};
  CHECK(parallel.forward == once);
  CHECK(parallel.backward == once);
}

}  // namespace
}  // namespace tartan
