// Sgd and Adagrad against plain loops over the whole parameter, to the last bit, on every grid.

#include <tartan/optim/optimizer.hpp>

#include <cmath>
#include <limits>

#include <tartan/comm/agreement.hpp>

#include "nn/oracle.hpp"
#include "support/error_text.hpp"
#include "support/pmpi.hpp"

namespace tartan {
namespace {

using namespace testing;

/// The update of one number, as the optimiser's contract has it.
template <class T>
struct PlainSgd {
  T rate;
  void update(T& weight, T&, T gradient) const { weight -= rate * gradient; }
};
template <class T>
struct PlainAdagrad {
  T rate;
  T epsilon;
  void update(T& weight, T& sum, T gradient) const {
    sum += gradient * gradient;
    weight -= rate * gradient / (std::sqrt(sum) + epsilon);
  }
};

template <class T>
std::vector<T> normals(const char* name, Index count) {
  const RandomStream stream(3, name);
  std::vector<T> values;
  for (Index i = 0; i < count; ++i) values.push_back(static_cast<T>(stream.normal(i)));
  return values;
}

template <class T>
DistributedTensor<T> placed(const Distribution& d, const std::vector<T>& whole) {
  return DistributedTensor<T>::from_function(
      d, [&](std::span<const Index> index) { return whole[static_cast<std::size_t>(d.shape().flat(index))]; });
}

std::vector<CartesianTopology> topologies() {
  const Partition all(world());
  std::vector<CartesianTopology> result;
  for (const auto& grid : factorisations(world().size(), 2)) result.push_back(all.cartesian(grid));
  if (world().size() > 1) result.push_back(all.first(world().size() - 1).cartesian({world().size() - 1, 1}));
  return result;
}

/// Collective. Three steps with dense gradients in every placement but Partial ones.
template <class T, class Make, class Plain>
void check_dense(const Make& make, const Plain& plain, T initial_sum) {
  const Shape shape{5, 3};
  for (const auto& topology : topologies()) {
    for (const auto& placements : all_placements(2, 2)) {
      const Distribution d(topology, shape, placements);
      if (d.any(Placement::Kind::partial)) continue;
      INFO(d.to_string());
      auto expected = normals<T>("weight", 15);
      std::vector<T> sums(15, initial_sum);
      const auto w = Variable<T>::parameter("w", placed(d, expected));
      const auto idle = Variable<T>::parameter("idle", placed(d, expected));
      const auto kept = expected;
      const auto optimizer = make(std::vector{w, idle});
      for (const char* step : {"first", "second", "third"}) {
        const auto gradient = normals<T>(step, 15);
        GradientTape tape;
        tape.backward(sum(w * Variable<T>(placed(d, gradient))));
        const auto version = w.value().version();
        const MpiCounter mpi;
        optimizer->step();
        CHECK(mpi.collectives().calls == 0);
        CHECK(w.value().version() > version);
        optimizer->clear_gradients();
        CHECK(!w.has_gradient());
        optimizer->step();  // without a gradient: nothing
        for (std::size_t i = 0; i < expected.size(); ++i) plain.update(expected[i], sums[i], gradient[i]);
        CHECK(same_bits(w.value(), expected));
      }
      CHECK(same_bits(idle.value(), kept));
    }
  }
}

template <class T>
auto make_sgd(double rate) {
  return [=](std::vector<Variable<T>> parameters) {
    return std::make_unique<Sgd<T>>(std::move(parameters), SgdOptions{.learning_rate = rate});
  };
}
template <class T>
auto make_adagrad(AdagradOptions options) {
  return
      [=](std::vector<Variable<T>> parameters) { return std::make_unique<Adagrad<T>>(std::move(parameters), options); };
}

TEST_CASE("Sgd with dense gradients, in every placement") {
  check_dense<float>(make_sgd<float>(0.1), PlainSgd<float>{0.1F}, 0.0F);
  check_dense<double>(make_sgd<double>(0.1), PlainSgd<double>{0.1}, 0.0);
}

TEST_CASE("Adagrad with dense gradients, in every placement") {
  check_dense<float>(make_adagrad<float>({.learning_rate = 0.1, .epsilon = 1e-6}), PlainAdagrad<float>{0.1F, 1e-6F},
                     0.0F);
  check_dense<double>(make_adagrad<double>({.learning_rate = 0.2, .initial_accumulator = 0.25}),
                      PlainAdagrad<double>{0.2, 1e-10}, 0.25);
}

TEST_CASE("Adagrad keeps its sums where the parameters are") {
  for (const auto& topology : topologies()) {
    const Distribution d(topology, {5, 3}, {Shard{0}, Shard{1}});
    const auto values = normals<float>("weight", 15);
    const auto w = Variable<float>::parameter("w", placed(d, values));
    Adagrad<float> adagrad({w}, {.initial_accumulator = 0.5});
    GradientTape tape;
    tape.backward(sum(w * w));
    adagrad.step();
    REQUIRE(adagrad.sums().size() == 1);
    CHECK(adagrad.sums()[0].distribution() == d);
    std::vector<float> sums;
    for (const float value : values) sums.push_back(0.5F + (value + value) * (value + value));
    CHECK(same_bits(adagrad.sums()[0], sums));
  }
}

/// Collective. The same lookups of a table with row-sparse gradients and of one with dense gradients.
template <class Make, class Plain>
void check_sparse(const Make& make, const Plain& plain) {
  for (const auto& grid : factorisations(world().size(), 3)) {
    EmbeddingLayerOptions options{.name = "table",
                                  .num_embeddings = 13,
                                  .embedding_dim = 5,
                                  .padding_idx = 3,
                                  .sparse = true,
                                  .exchange = Exchange::table};
    const auto topology = Partition(world()).cartesian(grid);
    const DistributedEmbedding<float> sparse(topology, options);
    options.sparse = false;
    const DistributedEmbedding<float> dense(topology, options);
    const auto of_sparse = make(std::vector{sparse.weight()});
    const auto of_dense = make(std::vector{dense.weight()});

    auto expected = Table<float>(options).values;
    std::vector<float> sums(expected.size());
    for (const auto& ids : {std::vector<Index>{0, 12, 5, 3, 5, 5}, std::vector<Index>{12, 7}, std::vector<Index>{}}) {
      const auto upstream = some_upstream<float>(std::ssize(ids) * 5);
      for (const auto* layer : {&sparse, &dense}) {
        GradientTape tape;
        const auto placed = placed_ids<Index>(layer->input_distribution({std::ssize(ids)}), ids);
        tape.backward(loss_of((*layer)(placed), upstream));
      }
      CHECK(std::holds_alternative<RowSparse<float>>(sparse.weight().gradient()));
      CHECK(std::holds_alternative<DistributedTensor<float>>(dense.weight().gradient()));
      for (const auto& optimizer : {of_sparse.get(), of_dense.get()}) {
        optimizer->step();
        optimizer->clear_gradients();
      }

      const auto sparse_weight = sparse.weight().value().local_on_host();
      const auto dense_weight = dense.weight().value().local_on_host();
      const auto a = sparse_weight.span();
      const auto b = dense_weight.span();
      // Along a data axis of several ranks the terms of a dense gradient are added in an order of MPI's.
      if (grid[0] == 1) CHECK((a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0));
      CHECK(std::ranges::equal(a, b, [](float x, float y) { return std::abs(x - y) <= 1e-5F; }));
      const TableGradient<float> gradient(ids, upstream, 13, 5, 3);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        if (std::ranges::binary_search(gradient.rows, static_cast<Index>(i) / 5)) {
          plain.update(expected[i], sums[i], gradient.values[i]);
        }
      }
      if (grid[0] == 1) CHECK(same_bits(sparse.weight().value(), expected));
    }
  }
}

TEST_CASE("row-sparse and dense gradients give the same bits, on one data rank those of plain loops") {
  check_sparse(make_sgd<float>(0.1), PlainSgd<float>{0.1F});
  check_sparse(make_adagrad<float>({.learning_rate = 0.1}), PlainAdagrad<float>{0.1F, 1e-10F});
}

TEST_CASE("a row-sparse gradient changes the rows that it names only") {
  const auto topology = Partition(world()).cartesian({1, world().size(), 1});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const DistributedEmbedding<float> layer(topology, {.num_embeddings = 13, .embedding_dim = 2, .sparse = true});
  Adagrad<float> adagrad(layer.parameters(), {.learning_rate = 0.1, .initial_accumulator = 1});
  const std::vector<Index> ids{2, 11, 2};
  const auto initial = Table<float>(layer.options()).values;
  GradientTape tape;
  tape.backward(loss_of(layer(placed_ids<Index>(layer.input_distribution({3}), ids)), {1, 2, 3, 4, 5, nan}));
  adagrad.step();
  for (std::size_t row = 0; row < 13; ++row) {
    const auto rows = layer.weight().value().box()[0];
    if (!layer.weight().value().holds() || !rows.contains(static_cast<Index>(row))) continue;
    const Index at = (static_cast<Index>(row) - rows.begin) * 2;
    const auto weight = layer.weight().value().local_on_host();
    const auto sum = adagrad.sums()[0].local_on_host();
    const bool named = row == 2 || row == 11;
    CHECK((weight[at] == initial[row * 2]) == !named);
    CHECK((sum[at] == 1) == !named);
    CHECK(std::isnan(weight[at + 1]) == (row == 2));
  }
}

TEST_CASE("options and parameters that make no sense are refused on every rank") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto w = Variable<float>::parameter("w", DistributedTensor<float>::zeros({topology, {5}, {Shard{0}}}));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::string texts;
  const auto refused = [&](const auto& call, const std::string& part) {
    const auto text = error_text(call);
    texts += text;
    INFO(text);
    CHECK(contains(text, part));
  };
  refused([&] { Sgd<float>({w}, {.learning_rate = -0.1}); }, "learning_rate is -0.1");
  refused([&] { Sgd<float>({w}, {.learning_rate = nan}); }, "learning_rate is nan");
  refused([&] { Sgd<float>({w}).set_learning_rate(-1); }, "learning_rate is -1");
  refused([&] { Sgd<float>({w}, {.learning_rate = std::numeric_limits<double>::infinity()}); }, "learning_rate is inf");
  refused([&] { Adagrad<float>({w}, {.learning_rate = -0.1}); }, "learning_rate is -0.1");
  refused([&] { Adagrad<float>({w}, {.epsilon = -1e-9}); }, "epsilon is -1e-09");
  refused([&] { Adagrad<float>({w}, {.epsilon = nan}); }, "epsilon is nan");
  refused([&] { Adagrad<float>({w}, {.initial_accumulator = -1}); }, "initial_accumulator is -1");
  refused([&] { Adagrad<float>({w}).set_learning_rate(nan); }, "learning_rate is nan");
  refused([&] { Sgd<float>({Variable<float>(w.value())}); }, "no parameter");
  refused([&] { Sgd<float>({Variable<float>()}); }, "no parameter");
  const auto partial = Variable<float>::parameter("p", DistributedTensor<float>::zeros({topology, {5}, {Partial{}}}));
  refused([&] { Sgd<float>({w, partial}); }, "'p', a parameter of " + partial.distribution().to_string());
  const auto same = w;
  const auto like = Variable<float>::parameter("w", w.value().clone());
  refused([&] { Sgd<float>({w, same}); }, "the parameter 'w' twice");
  refused([&] { Sgd<float>({w, like}); }, "two parameters named 'w'");
  refused([&] { Sgd<float>({}); }, "no parameters");
  CHECK_NOTHROW(same_on_all(world(), "texts of errors", texts));

  Sgd<float> sgd({w}, {.learning_rate = 0});
  CHECK(sgd.learning_rate() == 0);
  sgd.set_learning_rate(0.5);
  CHECK(sgd.learning_rate() == 0.5);
  Adagrad<float> adagrad({w});
  adagrad.set_learning_rate(0.5);
  CHECK(adagrad.learning_rate() == 0.5);
}

}  // namespace
}  // namespace tartan
