// Conversion of layers to parallel ones: the same values and options, on other axes and grids; and parallel_dim.

#include <tartan/nn/parallel.hpp>

#include "autograd/check_placements.hpp"
#include "nn/linear_oracle.hpp"
#include "nn/oracle.hpp"

namespace tartan {
namespace {

using namespace testing;

TEST_CASE("parallel_dim is the dimension that an axis cuts") {
  const auto topology = Partition(world()).cartesian({1, world().size()});
  const auto tensor = [&](Placement placement) {
    return DistributedTensor<float>::zeros({topology, {4, 3, 2}, {Shard{1}, placement}});
  };
  CHECK(parallel_dim(tensor(Shard{0})) == 0);
  CHECK(parallel_dim(tensor(Shard{-1})) == 2);
  CHECK(parallel_dim(Variable<float>(tensor(Shard{2}))) == 2);
  CHECK(parallel_dim(tensor(Shard{2}), 0) == 1);
  CHECK(!parallel_dim(tensor(Replicate{})));
  CHECK(!parallel_dim(tensor(Partial{})));
  CHECK(!parallel_dim(tensor(Root{}).distribution()));
  CHECK(!parallel_dim(Distribution()));
  SameTexts texts;
  CHECK(contains(texts.of([&] { parallel_dim(tensor(Shard{0}), 2); }), "axis 2 is asked for of a grid that has 2"));
  CHECK(contains(texts.of([&] { parallel_dim(tensor(Shard{0}), -1); }), "axis -1 is asked for"));
  texts.verify();
}

TEST_CASE("converted layers have the values, the options and the results that they had") {
  constexpr Index V = 9, D = 4, hidden = 6, count = 5;
  const auto ids = some_ids(count, V);
  const auto upstream = some_upstream<double>(count * D);
  const Partition all(world());
  const auto line = all.cartesian({all.size()});
  // As they are on one rank: nothing is cut.
  const DistributedEmbedding<double> tokens(line, {.name = "tokens",
                                                   .num_embeddings = V,
                                                   .embedding_dim = D,
                                                   .padding_idx = 3,
                                                   .seed = 2,
                                                   .axes = EmbeddingAxes{},
                                                   .storage = Replicate{}});
  std::vector<DistributedLinear<double>> ups;
  std::vector<DistributedLinear<double>> downs;
  for (const std::string block : {"0", "1"}) {
    ups.emplace_back(line, LinearLayerOptions{.name = "block." + block + ".up",
                                              .in_features = D,
                                              .out_features = hidden,
                                              .seed = 2,
                                              .axes = LinearAxes{},
                                              .parts = 1});
    downs.emplace_back(line, LinearLayerOptions{.name = "block." + block + ".down",
                                                .in_features = hidden,
                                                .out_features = D,
                                                .bias = false,
                                                .seed = 2,
                                                .axes = LinearAxes{},
                                                .output = Replicate{},
                                                .freeze = true});
  }
  const DistributedLinear<double> fused(
      line, {.name = "fused", .in_features = D, .out_features = 6, .axes = LinearAxes{}, .parts = 2});

  const auto run = [&](const auto& embedding, const auto& up, const auto& down) {
    return [&](const DistributedTensor<Index>& i) {
      auto x = redistribute(embedding(i), Replicate{});
      for (std::size_t block = 0; block < up.size(); ++block) x = down[block](up[block](x));
      return x;
    };
  };
  Flat expected, to_table, to_up;
  const auto whole = [](const DistributedTensor<double>& tensor) {
    const auto full = redistribute(tensor, Replicate{}).local_on_host();
    return Flat(full.span().begin(), full.span().end());
  };
  {
    GradientTape tape;
    const auto y = run(tokens, ups, downs)(placed_ids<Index>({line, {count}, {Replicate{}}}, ids));
    expected = whole(y.value());
    tape.backward(testing::loss_of(y, upstream));
    to_table = whole(tokens.weight().dense_gradient());
    to_up = whole(ups[0].weight().dense_gradient());
  }
  Batch batch;
  for (const auto& grid : factorisations(all.size(), 2)) {
    INFO(grid.to_string());
    const auto topology = all.cartesian(grid);
    const auto [t, u, d, f] = convert_parallel(topology,
                                               {{"tokens", EmbeddingAxes{.rows = 0, .columns = 1}},
                                                {"block.0.up", LinearAxes{.out = 1, .in = 0}},
                                                {"block.*.up", LinearAxes{.data = 0, .out = 1}},
                                                {"block.*.down", LinearAxes{.in = 1}},
                                                {"*", LinearAxes{.out = 1}}},
                                               tokens, ups, downs, fused);
    check_logical(t.weight().value(), whole(tokens.weight().value()), 0, "table", batch);
    check_logical(u[0].weight().value(), whole(ups[0].weight().value()), 0, "up", batch);
    check_logical(u[1].bias().value(), whole(ups[1].bias().value()), 0, "bias", batch);
    check_logical(d[1].weight().value(), whole(downs[1].weight().value()), 0, "down", batch);
    check_logical(f.weight().value(), whole(fused.weight().value()), 0, "fused", batch);
    CHECK(t.options().padding_idx == 3);
    CHECK(t.parameters().size() == 1);
    CHECK(u[0].axes().in == 0);
    CHECK(u[1].axes().data == 0);
    CHECK(u[1].weight().name() == "block.1.up.weight");
    CHECK(parallel_dim(u[1].weight()) == 0);
    CHECK(d[0].parameters().empty());
    CHECK(d[0].bias().is_null());
    CHECK(parallel_dim(d[0].weight()) == 1);
    CHECK(f.weight().distribution() == Distribution(topology, {2, 3, D}, {Replicate{}, Shard{1}}));

    GradientTape tape;
    const auto y = run(t, u, d)(placed_ids<Index>({topology, {count}, {Replicate{}, Replicate{}}}, ids));
    check_logical(y.value(), expected, 1e-12, "y", batch);
    tape.backward(testing::loss_of(y, upstream));
    check_logical(t.weight().dense_gradient(), to_table, 1e-12, "to the table", batch);
    check_logical(u[0].weight().dense_gradient(), to_up, 1e-12, "to up", batch);

    // What no rule names stays where it is.
    const auto [same] = convert_parallel(topology, {}, fused);
    CHECK(same.topology() == line);
    CHECK(same.weight().value().local().data() == fused.weight().value().local().data());
  }
  batch.verify();
}

TEST_CASE("each * of a rule stands for any text, and many of them for no more time") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto converted = [&](const std::string& name, const std::string& pattern) {
    const DistributedLinear<float> layer(
        topology, {.name = name, .in_features = 1, .out_features = 1, .bias = false, .axes = LinearAxes{}});
    return !contains(testing::error_text([&] {
                       convert_parallel(topology, {{pattern, LinearAxes{.out = 0}}}, layer);
                     }),
                     "names no linear layer");
  };
  for (const std::string pattern : {"*", "**", "a*", "*a", "aba*", "*ba", "a*a", "*b*", "*a*a*", "a*b*a", "aba"}) {
    INFO(pattern);
    CHECK(converted("aba", pattern));
  }
  for (const std::string pattern : {"", "b*", "*b", "a*a*a", "*aa*", "ab", "abab", "aba*a", "*b*b*"}) {
    INFO(pattern);
    CHECK_FALSE(converted("aba", pattern));
  }
  CHECK(converted("abcabd", "*abd"));
  CHECK(converted("abcabd", "a*ab*d"));
  std::string many;
  for (int i = 0; i < 30; ++i) many += "*a";
  CHECK(converted(std::string(100, 'a'), many));
  CHECK_FALSE(converted(std::string(100, 'a'), many + "*b"));
}

TEST_CASE("a rule that names no layer is an error on every rank, before anything moves") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const DistributedLinear<float> up(topology, {.name = "up", .in_features = 3, .out_features = 2});
  const DistributedEmbedding<float> tokens(
      topology, {.name = "tokens", .num_embeddings = 3, .embedding_dim = 2, .axes = EmbeddingAxes{}});
  SameTexts texts;
  const CommRecorder recorder;
  const auto refused = [&](const ParallelRule& rule, const std::string& part) {
    const auto text = texts.of([&] { convert_parallel(topology, {{"up", LinearAxes{.out = 0}}, rule}, up, tokens); });
    INFO(text);
    CHECK(contains(text, part));
  };
  refused({"down", LinearAxes{}},
          "the rule for 'down' names no linear layer that a rule before it does not name; there are the layers: up, "
          "tokens");
  refused({"*", LinearAxes{}}, "the rule for '*' names no linear layer");
  refused({"up", EmbeddingAxes{}}, "the rule for 'up' names no embedding");
  refused({"u*q", LinearAxes{}}, "the rule for 'u*q' names no linear layer");
  refused({"", LinearAxes{}}, "the rule for '' names no linear layer");
  const DistributedEmbedding<float> table(
      topology,
      {.name = "table", .num_embeddings = 3, .embedding_dim = 2, .axes = EmbeddingAxes{}, .storage = Replicate{}});
  const DistributedLinear<float> head(table.weight(), {.name = "head", .bias = false, .axes = LinearAxes{}});
  const DistributedLinear<float> frozen(table.weight(),
                                        {.name = "frozen", .bias = false, .axes = LinearAxes{}, .freeze = true});
  const ParallelRule of_table{"table", EmbeddingAxes{.rows = 0}};
  const auto parted = [&](const std::string& name, const std::vector<ParallelRule>& rules, const auto&... layers) {
    const auto text = texts.of([&] { convert_parallel(topology, rules, layers...); });
    INFO(text);
    CHECK(contains(text, "the layer '" + name + "' has the weight of another layer"));
  };
  parted("head", {{"head", LinearAxes{.out = 0}}}, table, head);
  parted("head", {{"head", LinearAxes{.out = 0}}}, head);
  parted("head", {of_table}, table, head);
  parted("head", {of_table}, std::vector{head}, table);
  parted("frozen", {of_table}, table, frozen);
  parted("table", {of_table}, std::vector{table, table});
  parted("up", {{"up", LinearAxes{.out = 0}}}, up, std::vector{up});
  parted("frozen", {{"frozen", LinearAxes{.out = 0}}}, frozen);
  CHECK(recorder.count() == 0);
  // Where its table stays, a head does.
  const auto [same_table, same_head, moved] =
      convert_parallel(topology, {{"up", LinearAxes{.out = 0}}}, table, head, up);
  CHECK(&same_head.weight().value() == &same_table.weight().value());
  texts.verify();
}

}  // namespace
}  // namespace tartan
