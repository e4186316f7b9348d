// What a tape records, how contributions to one variable are added, and what a backward pass refuses.

#include <tartan/autograd/tape.hpp>

#include <thread>

#include <tartan/comm/recorder.hpp>

#include "autograd/logical.hpp"
#include "support/error_text.hpp"
#include "support/pmpi.hpp"

namespace tartan {
namespace {

using namespace testing;

constexpr Index count = 7;

Flat numbers(Numbers which) {
  Flat values;
  for (Index i = 0; i < count; ++i) values.push_back(static_cast<double>(which(i)));
  return values;
}

Flat combined(const Flat& a, const std::function<double(double, double)>& f, const Flat& b) {
  Flat out;
  for (std::size_t i = 0; i < a.size(); ++i) out.push_back(f(a[i], b[i]));
  return out;
}

constexpr Numbers w_numbers{1, -2};
constexpr Numbers c_numbers{2, -3};
constexpr Numbers p_numbers{-1, 5};

CartesianTopology line() { return Partition(world()).cartesian({world().size()}); }

Variable<double> parameter(const CartesianTopology& topology, Placement placement) {
  return Variable<double>::parameter("w", laid_out<double>({topology, {count}, {placement}}, w_numbers));
}
Variable<double> constant(const CartesianTopology& topology, Placement placement, Numbers which) {
  return laid_out<double>({topology, {count}, {placement}}, which);
}

void check_gradient(const Variable<double>& w, const Flat& expected) {
  Batch batch;
  REQUIRE(w.has_gradient());
  CHECK(w.dense_gradient().distribution() == w.distribution().gradient());
  check_logical(w.dense_gradient(), expected, 0, "gradient", batch);
  batch.verify();
}

TEST_CASE("a variable that is used several times gets the sum of the contributions") {
  const auto topology = line();
  for (const Placement& placement : {Placement{Replicate{}}, Placement{Root{}}, Placement{Shard{0}}}) {
    const auto w = parameter(topology, placement);
    GradientTape tape;
    const auto square = w * w;
    tape.backward(sum(square + (w + 3.0 * (square * w))));
    check_gradient(w,
                   combined(
                       numbers(w_numbers), [](double x, double) { return 2 * x + 1 + 9 * x * x; }, numbers(w_numbers)));
  }
}

TEST_CASE("the kept gradient lies where the parameter does, Replicate for a Partial one") {
  for (const auto& grid : factorisations(world().size(), 2)) {
    const auto topology = Partition(world()).cartesian(grid);
    for (const auto& placements : all_placements(2, 1)) {
      const auto w = Variable<double>::parameter("w", laid_out<double>({topology, {count}, placements}, w_numbers));
      const auto c = Variable<double>(laid_out<double>({topology, {count}, {Shard{0}, Replicate{}}}, c_numbers));
      GradientTape tape;
      tape.backward(sum(redistribute(w, c.distribution()) * c));
      check_gradient(w, numbers(c_numbers));
    }
  }
}

TEST_CASE("Replicate and Partial contributions to one parameter cost one reduction") {
  const auto topology = line();
  const int n = topology.size();
  const auto w = parameter(topology, Replicate{});
  const auto c = constant(topology, Replicate{}, c_numbers);
  const auto p = constant(topology, Partial{}, p_numbers);

  GradientTape tape;
  const auto loss =
      redistribute(sum(w * c), {Partial{}}) + sum(w * p) + sum(w * p) + redistribute(sum(w * w), {Partial{}});
  const CommRecorder recorder;
  const MpiCounter mpi;
  tape.backward(loss);
  check_gradient(w, combined(
                        combined(
                            numbers(c_numbers), [](double a, double b) { return a + 2 * b; }, numbers(p_numbers)),
                        [](double a, double b) { return a + 2 * b; }, numbers(w_numbers)));

  const Index reductions = n > 1 ? 1 : 0;
  // check_gradient's own reduction comes on top at MPI's side and on the recorder's, as a forward one.
  CHECK(mpi.traffic(Collective::all_reduce).calls == 2 * reductions);
  CHECK(mpi.collectives().calls == 2 * reductions);
  Index backward = 0;
  for (const auto& record : recorder.records()) {
    if (!record.backward || record.size == 1) continue;
    ++backward;
    CHECK(record.collective == Collective::all_reduce);
    CHECK(record.bytes == (topology.rank() == 0 ? (n - 1) * count * 8 : count * 8));
  }
  CHECK(backward == reductions);
}

TEST_CASE("contributions that agree are added without communication") {
  const auto topology = line();
  for (const Placement& placement : {Placement{Replicate{}}, Placement{Root{}}, Placement{Shard{0}}}) {
    const auto w = parameter(topology, placement);
    const auto c = constant(topology, placement, c_numbers);
    GradientTape tape;
    const auto loss = sum(w * c) + sum(c * w) + 2.0 * sum(w * c);
    const MpiCounter mpi;
    tape.backward(loss);
    CHECK(mpi.collectives().calls == 0);
    CHECK(mpi.messages().calls == 0);
    check_gradient(w, combined(
                          numbers(c_numbers), [](double a, double) { return 4 * a; }, numbers(c_numbers)));
  }
}

TEST_CASE("gradients accumulate over tapes until they are cleared") {
  const auto topology = line();
  for (const Placement& placement :
       {Placement{Replicate{}}, Placement{Root{}}, Placement{Shard{0}}, Placement{Partial{}}}) {
    auto w = parameter(topology, placement);
    const auto c = constant(topology, Replicate{}, c_numbers);
    const auto pass = [&](double factor) {
      GradientTape tape;
      tape.backward(factor * sum(redistribute(w, {Replicate{}}) * c));
    };
    pass(1);
    pass(3);
    check_gradient(w, combined(
                          numbers(c_numbers), [](double a, double) { return 4 * a; }, numbers(c_numbers)));
    w.clear_gradient();
    CHECK(!w.has_gradient());
    CHECK_THROWS_WITH(w.gradient(), Catch::Contains("the variable 'w' has no gradient"));
    CHECK_THROWS_WITH((w + w).gradient(), Catch::Contains("which keep none: Variable::parameter() makes"));
    pass(-2);
    check_gradient(w, combined(
                          numbers(c_numbers), [](double a, double) { return -2 * a; }, numbers(c_numbers)));
  }
}

TEST_CASE("a tensor that was modified between forward and backward is refused, and nothing is left behind") {
  const auto topology = line();
  auto w = parameter(topology, Shard{0});
  const auto u = Variable<double>::parameter("u", laid_out<double>(w.distribution(), p_numbers));
  SameTexts texts;
  {
    GradientTape tape;
    const auto loss = sum(w * u) + sum(w * w);
    w.modify([](Tensor<double>&) {});
    const auto text = texts.of([&] { tape.backward(loss); });
    CHECK(contains(text, "in the backward pass of a product"));
    CHECK(contains(text, w.distribution().to_string()));
    CHECK(contains(text, "was modified between"));
  }
  CHECK(!w.has_gradient());
  CHECK(!u.has_gradient());
  CHECK(GradientTape::replaying() == nullptr);
  {
    auto labels = laid_out<double>(w.distribution(), c_numbers);
    GradientTape tape;
    const auto loss = binary_cross_entropy_with_logits(w, labels);
    labels.modify([](Tensor<double>&) {});
    CHECK(contains(texts.of([&] { tape.backward(loss); }), "was modified between"));
  }
  texts.verify();

  GradientTape tape;
  tape.backward(sum(w * u));
  check_gradient(w, numbers(p_numbers));
  check_gradient(u, numbers(w_numbers));
}

TEST_CASE("a rule that fails leaves no contributions, and keeps the gradients of the passes before") {
  const auto topology = line();
  const auto w = parameter(topology, Replicate{});
  const auto c = constant(topology, Replicate{}, c_numbers);
  {
    GradientTape tape;
    tape.backward(sum(w * c));
  }
  Variable<double> kept_square;
  {
    GradientTape tape;
    tape.record("an operation of the test", [] { throw Error("a fault on every rank"); });
    kept_square = w * w;
    const auto loss = sum(kept_square) + sum(w * c);
    CHECK_THROWS_WITH(tape.backward(loss), "in the backward pass of an operation of the test: a fault on every rank");
    CHECK_THROWS_WITH(tape.backward(loss), "a tape is replayed once");
  }
  check_gradient(w, numbers(c_numbers));
  {
    GradientTape tape;
    CHECK(contains(error_text([&] { tape.backward(sum(kept_square * c) + sum(w * c)); }),
                   "was recorded by an earlier tape"));
  }
  {
    Variable<double> dropped;
    {
      GradientTape tape;
      dropped = w * w;
    }
    GradientTape tape;
    CHECK(
        contains(error_text([&] { tape.backward(sum(dropped * c) + sum(w * c)); }), "was recorded by an earlier tape"));
  }
  {
    GradientTape tape;
    tape.backward(sum(Variable<double>(kept_square.value()) * c) + sum(w * c));
  }
  check_gradient(w, combined(
                        numbers(c_numbers), [](double a, double) { return 2 * a; }, numbers(c_numbers)));
}

TEST_CASE("a rule's errors pass as they are where another rank or MPI raised them") {
  const auto w = parameter(line(), Replicate{});
  const auto raised = [&](const auto& error) {
    GradientTape tape;
    tape.record("an operation of the test", [&] { throw error; });
    tape.backward(sum(w * w));
  };
  CHECK_THROWS_AS(raised(RemoteError(2, "its fault")), RemoteError);
  CHECK_THROWS_AS(raised(MpiError("lost", 5)), MpiError);
  CHECK_THROWS_AS(raised(std::runtime_error("other")), std::runtime_error);
  CHECK(!w.has_gradient());
  CHECK(GradientTape::replaying() == nullptr);
  CHECK(GradientTape::active() == nullptr);
}

TEST_CASE("backward refuses what is no loss of this tape") {
  const auto topology = line();
  const auto w = parameter(topology, Shard{0});
  SameTexts texts;
  {
    GradientTape tape;
    const auto text = texts.of([&] { tape.backward(w * w); });
    CHECK(text == "backward needs a loss without dimensions, not " + w.distribution().to_string());
    tape.backward(sum(w * w));  // a refusal does not use up the tape
  }
  const std::string foreign = "backward was asked of a loss that depends on no parameter recorded on this tape";
  const auto unrecorded = sum(w * w);
  CHECK(!unrecorded.requires_gradient());
  {
    GradientTape tape;
    CHECK(texts.of([&] { tape.backward(unrecorded); }) == foreign);
    const auto c = constant(topology, Shard{0}, c_numbers);
    CHECK(texts.of([&] { tape.backward(sum(c * c)); }) == foreign);
    CHECK(texts.of([&] { tape.backward(Variable<double>()); }) == "an empty variable is used");
  }
  texts.verify();
}

TEST_CASE("a loss belongs to the tape that recorded it") {
  const auto topology = line();
  const auto w = parameter(topology, Shard{0});
  const auto c = constant(topology, Shard{0}, c_numbers);
  GradientTape outer;
  const auto loss = sum(w * c);
  const auto square = w * w;
  {
    GradientTape inner;
    CHECK(GradientTape::active() == &inner);
    CHECK_THROWS_WITH(inner.backward(loss), Catch::Contains("no parameter recorded on this tape"));
    CHECK_THROWS_WITH(outer.backward(loss), "a tape is replayed while another one inside it still records");
    // To the inner tape the outer one's results are constants.
    inner.backward(sum(square * c) + 5.0 * sum(w * c));
  }
  check_gradient(w, combined(
                        numbers(c_numbers), [](double a, double) { return 5 * a; }, numbers(c_numbers)));
  CHECK(GradientTape::active() == &outer);
  outer.backward(loss + sum(square));
  check_gradient(w, combined(
                        numbers(c_numbers), [](double a, double x) { return 6 * a + 2 * x; }, numbers(w_numbers)));
  CHECK(GradientTape::active() == nullptr);
}

TEST_CASE("backward of a parameter without dimensions gives it 1") {
  const auto topology = line();
  for (const Placement& placement : {Placement{Replicate{}}, Placement{Root{}}, Placement{Partial{}}}) {
    const auto w = Variable<double>::parameter("w", laid_out<double>({topology, {}, {placement}}));
    GradientTape tape;
    tape.backward(w);
    check_gradient(w, {1});
  }
}

TEST_CASE("without a tape nothing is recorded, and constants never are") {
  const auto topology = line();
  const auto w = parameter(topology, Shard{0});
  const auto c = constant(topology, Shard{0}, c_numbers);
  const auto labels = laid_out<double>(c.distribution());
  const auto none_requires = [&](const Variable<double>& x) {
    for (const auto& result : {x + x, x * x, 2.0 * x, sum(x), dot(x, x), redistribute(x, {Replicate{}}),
                               binary_cross_entropy_with_logits(x, labels)}) {
      CHECK(!result.requires_gradient());
    }
  };
  none_requires(w);
  {
    GradientTape tape;
    none_requires(c);
    CHECK((w + c).requires_gradient());
    CHECK(!(w + c).is_parameter());
  }
  CHECK(w.requires_gradient());
  CHECK_THROWS_WITH(w.contribute(c.value()), "a gradient reached 'w' outside of a backward pass");
  CHECK_THROWS_WITH(Variable<double>::parameter("", c.value()), Catch::Contains("needs a name"));
}

TEST_CASE("inactive ranks record the same list and get gradients of empty parts") {
  if (world().size() == 1) return;
  const auto topology = Partition(world()).first(world().size() - 1).cartesian({world().size() - 1});
  for (const Placement& placement : {Placement{Replicate{}}, Placement{Root{}}, Placement{Shard{0}}}) {
    const auto w = parameter(topology, placement);
    GradientTape tape;
    const auto loss = sum(redistribute(w, {Shard{0}}) * redistribute(w, {Shard{0}}));
    CHECK(loss.requires_gradient());
    tape.backward(loss);
    check_gradient(w, combined(
                          numbers(w_numbers), [](double a, double) { return 2 * a; }, numbers(w_numbers)));
    if (!topology.active()) CHECK(w.dense_gradient().local().elements() == 0);
  }
}

TEST_CASE("the result of a tape of one thread is a constant to a tape of another") {
  const auto topology = line();
  const auto w = parameter(topology, Replicate{});
  Variable<double> result;
  bool own = false;
  bool other = true;
  std::thread([&] {
    const GradientTape tape;
    result = w + w;
    own = result.is_recorded_by(tape);
  }).join();
  std::thread([&] { other = result.is_recorded_by(GradientTape()); }).join();
  CHECK(own);
  CHECK(!other);
}

TEST_CASE("a backward rule may replay a tape of its own") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const auto p = Variable<double>::parameter("p", constant(topology, Replicate{}, {2, -5}).value());
  const auto q = Variable<double>::parameter("q", constant(topology, Replicate{}, {1, 3}).value());
  GradientTape tape;
  const auto loss = sum(p) + sum(q);
  tape.record("recomputed", [&] {
    GradientTape inner;
    inner.backward(sum(p));
  });
  const auto more = loss + sum(q);
  tape.backward(more);
  for (const auto& gradient : {p.dense_gradient().local_on_host(), q.dense_gradient().local_on_host()}) {
    for (const double g : gradient.span()) CHECK(g == 2);
  }
}

}  // namespace
}  // namespace tartan
