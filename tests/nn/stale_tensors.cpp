// A tensor that a backward rule needs and that was modified since is every rank's error, also where a rank has none of
// it.

#include <tartan/autograd/activations.hpp>
#include <tartan/autograd/attention.hpp>
#include <tartan/autograd/losses.hpp>
#include <tartan/autograd/normalization.hpp>
#include <tartan/autograd/softmax.hpp>
#include <tartan/nn/cross_entropy.hpp>
#include <tartan/nn/linear.hpp>

#include "support/catch.hpp"
#include "support/error_text.hpp"
#include "support/world.hpp"

namespace tartan {
namespace {

using namespace testing;

/// The blocks of rank 0 have all of the elements: any other rank has none.
Distribution on_one_rank(Shape shape, int dimension) {
  const auto topology = Partition(world()).cartesian({world().size()});
  std::vector<Index> extents(static_cast<std::size_t>(world().size()));
  extents.front() = shape[dimension];
  return {topology, std::move(shape), {Shard{dimension}}, {.block_extents = {{0, extents}}}};
}

DistributedTensor<double> ones(const Distribution& d) { return DistributedTensor<double>::constant(d, 1); }

template <class I>
DistributedTensor<I> first_class(const Distribution& logits) {
  return DistributedTensor<I>::zeros(target_distribution(logits));
}

/// What the rule of `apply` keeps of its input, or of its result.
template <class Apply>
void refuses_stale(const char* name, const Distribution& d, Apply apply, bool keeps_result = false) {
  INFO(name << " of " << d.to_string());
  const auto x = Variable<double>::parameter("x", ones(d));
  GradientTape tape;
  const auto y = apply(x);
  const auto loss = y.shape().dimensions() == 0 ? y : sum(y);
  auto kept = keeps_result ? y.value() : x.value();
  kept.modify([](Tensor<double>&) {});
  CHECK(contains(error_text([&] { tape.backward(loss); }), "modified"));
}

TEST_CASE("a modified tensor that the backward pass needs is an error on every rank") {
  using V = Variable<double>;
  for (const int dimension : {0, 1}) {
    const auto d = on_one_rank({2, 3}, dimension);
    refuses_stale(
        "relu", d, [](const V& x) { return relu(x); }, true);
    refuses_stale("gelu", d, [](const V& x) { return gelu(x); });
    refuses_stale("silu", d, [](const V& x) { return silu(x); });
    refuses_stale("a product", d, [](const V& x) { return x * x; });
    refuses_stale("dot", d, [](const V& x) { return dot(x, x); });
    refuses_stale("squared error", d, [&](const V& x) { return mean_squared_error(x, ones(d)); });
    refuses_stale("binary cross-entropy", d, [&](const V& x) { return binary_cross_entropy_with_logits(x, ones(d)); });
    refuses_stale("layer_norm", d, [](const V& x) { return functional::layer_norm(x); });
    refuses_stale("rms_norm", d, [](const V& x) { return functional::rms_norm(x); });
    refuses_stale(
        "softmax", d, [](const V& x) { return softmax(x); }, true);
    refuses_stale(
        "log_softmax", d, [](const V& x) { return log_softmax(x); }, true);
    refuses_stale("cross_entropy", d, [&](const V& x) { return functional::cross_entropy(x, first_class<Index>(d)); });
    refuses_stale("log_sum_exp", d, [](const V& x) { return functional::log_sum_exp(x); });
    refuses_stale("entropy", d, [](const V& x) { return functional::entropy(x); });
    const auto whole = Distribution(d.topology(), {4, 3}, {Replicate{}});
    const auto rows = Distribution(d.topology(), {2, 3}, {Replicate{}});
    refuses_stale("linear", dimension == 0 ? d : rows,
                  [&](const V& x) { return functional::linear(x, V::parameter("weight", ones(whole))); });
    refuses_stale("linear by its weight", d.with({Shard{0}}),
                  [&](const V& weight) { return functional::linear(V::parameter("x", ones(rows)), weight); });
    const auto classes = on_one_rank({4, 3}, 0);
    refuses_stale("linear cross-entropy by its weight", classes, [&](const V& weight) {
      return functional::linear_cross_entropy(V::parameter("x", ones(rows)), weight, V{},
                                              DistributedTensor<Index>::zeros({d.topology(), {2}, {Replicate{}}}));
    });
  }
  const auto heads = on_one_rank({2, 3, 1, 4}, 0);
  refuses_stale("attention", heads, [](const V& x) { return scaled_dot_product_attention(x, x, x); });
}

TEST_CASE("modified class weights are an error on every rank") {
  const auto logits = on_one_rank({2, 3}, 1);
  const auto x = Variable<double>::parameter("logits", ones(logits));
  auto weight = ones(on_one_rank({3}, 0));
  GradientTape tape;
  const auto loss = functional::cross_entropy(x, first_class<Index>(logits), {.weight = weight});
  weight.modify([](Tensor<double>&) {});
  CHECK(contains(error_text([&] { tape.backward(loss); }), "modified"));
}

}  // namespace
}  // namespace tartan
