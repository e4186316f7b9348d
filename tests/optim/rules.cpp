// Row-wise Adagrad against plain loops; what is refused; what a step leaves alone.

#include <cmath>
#include <limits>

#include <tartan/comm/agreement.hpp>
#include <tartan/comm/recorder.hpp>
#include <tartan/optim/optimizer.hpp>

#include "nn/options.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index V = 13;
constexpr Index D = 7;

template <class T>
struct PlainRowwise {
  T rate;
  T epsilon;
  std::vector<T> sums = {};

  void step(std::vector<T>& weight, const TableGradient<T>& gradient) {
    sums.resize(V);
    for (const Index row : gradient.rows) {
      const auto at = static_cast<std::size_t>(row * D);
      std::vector<double> lanes(32, -0.0);  // a leaf of columns, added by halving
      for (std::size_t c = 0; c < D; ++c) {
        lanes[c] = static_cast<double>(gradient.values[at + c]) * gradient.values[at + c];
      }
      for (std::size_t half = 16; half > 0; half /= 2) {
        for (std::size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
      }
      const double squares = lanes[0];
      T& sum = sums[static_cast<std::size_t>(row)];
      sum += static_cast<T>(squares / D);
      for (std::size_t c = at; c < at + D; ++c) weight[c] -= rate / (std::sqrt(sum) + epsilon) * gradient.values[c];
    }
  }
};

template <class T>
void check_rowwise() {
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& storage : storages()) {
      for (const bool sparse : {true, false}) {
        const EmbeddingLayerOptions options{.num_embeddings = V,
                                            .embedding_dim = D,
                                            .padding_idx = 3,
                                            .sparse = sparse,
                                            .storage = storage,
                                            .exchange = Exchange::rows};
        const DistributedEmbedding<T> layer(topology, options);
        RowwiseAdagrad<T> adagrad(layer.parameters(), {.learning_rate = 0.1});
        auto expected = Table<T>(options).values;
        PlainRowwise<T> plain{static_cast<T>(0.1), static_cast<T>(1e-10)};
        INFO(layer.weight().distribution().to_string());
        for (const auto& ids : {std::vector<Index>{0, 12, 5, 3, 5, 5}, std::vector<Index>{12, 7}, {}}) {
          const auto upstream = some_upstream<T>(std::ssize(ids) * D);
          GradientTape tape;
          tape.backward(loss_of(layer(placed_ids<Index>(layer.input_distribution({std::ssize(ids)}), ids)), upstream));
          const CommRecorder recorder;
          adagrad.step();
          CHECK(recorder.count() == (grid[2] > 1 ? 1 : 0));
          CHECK(recorder.count(Collective::all_reduce) == recorder.count());
          adagrad.clear_gradients();
          plain.step(expected, TableGradient<T>(ids, upstream, V, D, 3));
        }
        const auto& weight = layer.weight().value();
        if (grid[0] == 1 && grid[2] == 1) CHECK(same_bits(weight, expected));
        const auto mine = held(weight.distribution(), expected);
        const T bound = 16 * std::numeric_limits<T>::epsilon();
        const auto local = weight.local_on_host();
        CHECK(std::ranges::equal(local.span(), mine,
                                 [&](T a, T b) { return std::abs(a - b) <= bound * (1 + std::abs(b)); }));
      }
    }
  }
}

TEST_CASE("row-wise Adagrad has one sum per row, over all of its columns") {
  check_rowwise<float>();
  check_rowwise<double>();
}

TEST_CASE("row-wise Adagrad on columns that some ranks have none of") {
  const auto topology = Partition(world()).cartesian({1, 1, world().size()});
  for (const bool sparse : {true, false}) {
    const DistributedEmbedding<double> layer(
        topology, {.num_embeddings = 5, .embedding_dim = 2, .sparse = sparse, .initial = initializers::constant(1)});
    RowwiseAdagrad<double> adagrad(layer.parameters(), {.learning_rate = 1, .epsilon = 0.5});
    GradientTape tape;
    tape.backward(loss_of(layer(placed_ids<Index>(layer.input_distribution({1}), {3})), {3.0, 4.0}));
    adagrad.step();
    std::vector<double> expected(10, 1);
    expected[6] -= 1 / (std::sqrt(12.5) + 0.5) * 3;
    expected[7] -= 1 / (std::sqrt(12.5) + 0.5) * 4;
    CHECK(same_bits(layer.weight().value(), expected));
  }
}

TEST_CASE("a row-sparse gradient with momentum or weight decay is refused by names, and nothing changes") {
  for (const auto& grid : factorisations(world().size(), 3)) {
    const auto topology = Partition(world()).cartesian(grid);
    EmbeddingLayerOptions options{
        .name = "tokens", .num_embeddings = V, .embedding_dim = D, .sparse = true, .exchange = Exchange::rows};
    const DistributedEmbedding<float> sparse(topology, options);
    options.sparse = false;
    options.name = "dense";
    const DistributedEmbedding<float> dense(topology, options);
    std::string texts;
    for (const auto& sgd_options : {SgdOptions{.momentum = 0.5}, SgdOptions{.weight_decay = 0.25},
                                    SgdOptions{.momentum = 0.5, .weight_decay = 0.25, .nesterov = true}}) {
      Sgd<float> sgd({dense.weight(), sparse.weight()}, sgd_options);
      GradientTape tape;
      const auto ids = placed_ids<Index>(sparse.input_distribution({4}), {1, 2, 1, 12});
      tape.backward(sum(sparse(ids)) + sum(dense(ids)));
      const auto text = error_text([&] { sgd.step(); });
      texts += text;
      INFO(text);
      CHECK(contains(text, "'tokens.weight' has a row-sparse gradient"));
      CHECK(contains(text, "momentum"));
      CHECK(contains(text, "weight_decay"));
      options.name = "tokens";
      CHECK(same_bits(sparse.weight().value(), Table<float>(options).values));
      options.name = "dense";
      CHECK(same_bits(dense.weight().value(), Table<float>(options).values));
      sgd.clear_gradients();
    }
    CHECK_NOTHROW(same_on_all(world(), "texts of errors", texts));
  }
}

TEST_CASE("lazy Adam and row-wise Adagrad leave other rows, and what is not finite there, alone") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& grid : factorisations(world().size(), 3)) {
    const DistributedEmbedding<float> layer(
        Partition(world()).cartesian(grid),
        {.num_embeddings = V, .embedding_dim = D, .sparse = true, .exchange = Exchange::rows});
    Adam<float> adam(layer.parameters());
    RowwiseAdagrad<float> adagrad(layer.parameters(), {.learning_rate = 0.5});
    for (Optimizer<float>* optimizer : std::initializer_list<Optimizer<float>*>{&adam, &adagrad}) {
      const auto before = layer.weight().value().clone();
      std::vector<float> upstream(3 * D, 1);
      upstream[D] = nan;  // of row 8
      GradientTape tape;
      tape.backward(loss_of(layer(placed_ids<Index>(layer.input_distribution({3}), {2, 8, 2})), upstream));
      optimizer->step();
      optimizer->clear_gradients();
      const auto weight = layer.weight().value().local_on_host();
      const auto weight_before = before.local_on_host();
      const auto flats = held_elements(before.distribution(), my_position(before.distribution()));
      for (std::size_t i = 0; i < flats.size(); ++i) {
        const Index row = flats[i] / D;
        const float now = weight.span()[i];
        const float then = weight_before.span()[i];
        if (row == 8) continue;
        CHECK((now == then) == (row != 2));
        CHECK(std::isfinite(now));
      }
    }
  }
}

TEST_CASE("momentum without decay leaves an infinite weight as it is") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const float infinity = std::numeric_limits<float>::infinity();
  const Distribution d(topology, {5}, {Shard{0}});
  const auto w = Variable<float>::parameter("w", DistributedTensor<float>::constant(d, infinity));
  Sgd<float> sgd({w}, {.momentum = 0.5});
  GradientTape tape;
  tape.backward(sum(w * Variable<float>(DistributedTensor<float>::constant(d, 1))));
  sgd.step();
  CHECK(same_bits(w.value(), std::vector<float>(5, infinity)));
}

TEST_CASE("options of optimisers out of their ranges are refused on every rank") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto w = Variable<float>::parameter("w", DistributedTensor<float>::zeros({topology, {5, 2}, {Shard{0}}}));
  const auto line = Variable<float>::parameter("line", DistributedTensor<float>::zeros({topology, {5}, {Shard{0}}}));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::string texts;
  const auto refused = [&](const auto& call, const std::string& part) {
    const auto text = error_text(call);
    texts += text + '\n';
    INFO(text);
    CHECK(contains(text, part));
  };
  for (const auto& [bad, number] : std::vector<std::pair<double, std::string>>{{-0.5, "-0.5"}, {nan, "nan"}}) {
    refused([&] { Sgd<float>({w}, {.momentum = bad}); }, "momentum is " + number);
    refused([&] { Sgd<float>({w}, {.weight_decay = bad}); }, "weight_decay is " + number);
    refused([&] { RowwiseAdagrad<float>({w}, {.epsilon = bad}); }, "epsilon is " + number);
    refused([&] { RowwiseAdagrad<float>({w}, {.initial_accumulator = bad}); }, "initial_accumulator is " + number);
    refused([&] { Adam<float>({w}, {.learning_rate = bad}); }, "learning_rate is " + number);
    refused([&] { Adam<float>({w}, {.beta1 = bad}); }, "beta1 is " + number);
    refused([&] { Adam<float>({w}, {.beta2 = bad}); }, "beta2 is " + number);
    refused([&] { Adam<float>({w}, {.epsilon = bad}); }, "epsilon is " + number);
  }
  refused([&] { Sgd<float>({w}, {.momentum = 0.5, .dampening = nan}); }, "dampening is nan");
  refused([&] { Sgd<float>({w}, {.momentum = 0.5, .dampening = 2}); }, "dampening is 2");
  refused([&] { Sgd<float>({w}, {.nesterov = true}); }, "nesterov needs a positive momentum");
  refused([&] { Sgd<float>({w}, {.momentum = 0.5, .dampening = 0.5, .nesterov = true}); }, "and no dampening");
  refused([&] { Adam<float>({w}, {.beta1 = 1}); }, "beta1 is 1");
  refused([&] { Adam<float>({w}, {.beta2 = 1}); }, "beta2 is 1");
  refused([&] { RowwiseAdagrad<float>({w, line}); }, "'line' is (5)");
  CHECK_NOTHROW(same_on_all(world(), "texts of errors", texts));
}

}  // namespace
}  // namespace tartan
