#include <tartan/comm/agreement.hpp>

#include "distributed/moves.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

CartesianTopology line() { return Partition(world()).cartesian({world().size()}); }

TEST_CASE("moves compose, and the adjoint of a composition is that of its parts backwards") {
  const auto topology = line();
  const Shape shape{7, 5};
  Sums sums;
  for (const auto& a : all_placements(1, 2)) {
    for (const auto& b : all_placements(1, 2)) {
      for (const auto& c : all_placements(1, 2)) {
        const Laid<double> from(Distribution(topology, shape, a));
        const Distribution between(topology, shape, b);
        const Laid<double> to(Distribution(topology, shape, c));
        const std::string label = to_string(a) + " -> " + to_string(b) + " -> " + to_string(c);
        INFO(label);
        const Composition both(Redistribution(between, to.d), Redistribution(from.d, between));
        CHECK(both.domain() == from.d);
        CHECK(both.range() == to.d);
        check_arrived(both.forward(from.x), to.d, forward_numbers, label, sums);
        check_arrived(both.adjoint(to.y), from.d.dual(), backward_numbers, label + ", adjoint", sums);
        CHECK(adjoint_defect(both) < 1e-14);
      }
    }
  }
  sums.verify();
}

TEST_CASE("the adjoint as an operator") {
  const auto topology = line();
  const Redistribution broadcast({topology, {7, 5}, {Root{}}}, {topology, {7, 5}, {Replicate{}}});
  const Adjoint sum_reduce(broadcast);
  CHECK(sum_reduce.domain().placement(0) == Placement(Partial{}));
  CHECK(sum_reduce.range().placement(0) == Placement(Root{}));
  CHECK(adjoint_defect(sum_reduce) < 1e-14);
  CHECK(adjoint_defect<float>(sum_reduce) < 1e-6);
  const Composition there_and_back(Redistribution(sum_reduce.range(), broadcast.domain()),
                                   Composition(sum_reduce, Redistribution(broadcast.range(), sum_reduce.domain())));
  CHECK(adjoint_defect(there_and_back) < 1e-14);

  Sums sums;
  check_arrived(sum_reduce.forward(laid_out<double>(sum_reduce.domain())), sum_reduce.range(), {}, "sum-reduce", sums);
  check_arrived(Adjoint(sum_reduce).forward(laid_out<double>(broadcast.domain())), broadcast.range(), {}, "broadcast",
                sums);
  sums.verify();
}

TEST_CASE("operators that do not fit are refused") {
  const auto topology = line();
  const Distribution a(topology, {7}, {Shard{0}});
  const Distribution b = a.with({Replicate{}});
  const Redistribution gather(a, b);
  CHECK(contains(error_text([&] { Composition(gather, gather); }), "operators do not compose"));
  CHECK(contains(error_text([&] { gather.forward(laid_out<double>(b)); }), "takes a tensor placed as (7): [Shard(0)]"));
  CHECK(contains(error_text([&] { gather.adjoint(laid_out<double>(b)); }), "takes a tensor placed as (7): [Partial]"));
  CHECK(contains(error_text([&] { gather.forward(DistributedTensor<double>()); }), "but got none"));
  CHECK(contains(error_text([&] { Redistribution(a, {topology, {8}, {Shard{0}}}); }), "cannot take the shape (8)"));
}

/// An all-gather that claims the slice for its adjoint, as if gradients of copies were not to be summed.
struct Forgetful {
  Redistribution gather;

  Distribution domain() const { return gather.domain(); }
  Distribution range() const { return gather.range(); }
  template <class T>
  DistributedTensor<T> forward(const DistributedTensor<T>& x) const {
    return gather.forward(x);
  }
  template <class T>
  DistributedTensor<T> adjoint(const DistributedTensor<T>& y) const {
    return redistribute(y.viewed_as(gather.range()), gather.domain());
  }
};

TEST_CASE("a wrong adjoint has a defect") {
  const auto topology = line();
  const Distribution a(topology, {13, 2}, {Shard{0}});
  const double defect = adjoint_defect(Forgetful{{a, a.with({Replicate{}})}});
  if (world().size() > 1) CHECK(defect > 1e-3);
}

TEST_CASE("a move into an existing tensor writes there, whatever it held") {
  const auto topology = line();
  Sums sums;
  for (const auto& a : all_placements(1, 2)) {
    for (const auto& b : all_placements(1, 2)) {
      const auto x = laid_out<double>(Distribution(topology, {7, 5}, a));
      DistributedTensor<double> y(x.distribution().with(b));
      const std::string label = to_string(a) + " -> " + to_string(b);
      INFO(label);
      y.modify([](Tensor<double>& local) { local.fill(std::nan("")); });
      const auto* memory = y.local().data();
      const auto version = y.version();
      redistribute_into(x, y);
      CHECK(y.local().data() == memory);
      CHECK(y.version() > version);
      check_arrived(y, y.distribution(), {}, label, sums);
      check_arrived(x, x.distribution(), {}, label + ", the source", sums);
    }
  }
  sums.verify();

  auto x = laid_out<double>(Distribution(topology, {world().size()}, {Shard{0}}));
  auto shared = x;
  CHECK(contains(error_text([&] { redistribute_into(x, shared); }), "over its own input"));
  DistributedTensor<double> none;
  CHECK_THROWS_AS(Redistribution(x.distribution(), x.distribution()).forward_into(x, none), Error);
}

TEST_CASE("a move between topologies into an existing tensor") {
  const int n = world().size();
  const Partition all(world());
  const auto some = all.subset({n - 1});
  Sums sums;
  for (const auto& a : all_placements(1, 2)) {
    const auto x = laid_out<double>(Distribution(all.cartesian({n}), {7, 5}, a));
    DistributedTensor<double> y(Distribution(some.cartesian({1}), {7, 5}, {Shard{1}}));
    redistribute_into(x, y);
    check_arrived(y, y.distribution(), {}, to_string(a), sums);
    DistributedTensor<double> back(x.distribution());
    redistribute_into(y, back);
    check_arrived(back, x.distribution(), {}, to_string(a) + ", back", sums);
  }
  sums.verify();
}

TEST_CASE("different moves on different ranks are named under TARTAN_CHECKS=collective") {
  struct Checked {
    Checked() { set_checks(Checks::collective); }
    ~Checked() { set_checks(before); }
    Checks before = checks();
  } const checked;
  const auto topology = line();
  const auto x = laid_out<double>(Distribution(topology, {8}, {Shard{0}}));
  Sums sums;
  check_arrived(redistribute(x, {Replicate{}}), x.distribution().with({Replicate{}}), {}, "gather", sums);
  if (world().size() > 1) {
    const Placement mine = world().rank() == 1 ? Placement(Root{}) : Placement(Replicate{});
    const auto text = error_text([&] { redistribute(x, {mine}); });
    CHECK(contains(text, "[Shard(0)]"));
    CHECK(contains(text, "[Replicate]"));
    CHECK(contains(text, "[Root]"));
  }
  sums.verify();
}

}  // namespace
}  // namespace tartan
