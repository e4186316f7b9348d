#include <tartan/comm/agreement.hpp>

#include "comm/data.hpp"
#include "distributed/moves.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

template <class T>
Tensor<T> whole(const Shape& shape, Numbers numbers = forward_numbers) {
  Tensor<T> result(shape);
  for (Index i = 0; i < result.elements(); ++i) result[i] = static_cast<T>(numbers(i));
  return result;
}

template <class T>
bool same(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() && std::ranges::equal(a.span(), b.span());
}

/// Every distribution of some shapes on one and two axes, over all ranks and over a half of them backwards.
std::vector<Distribution> many_distributions() {
  const int n = world().size();
  const Partition all(world());
  std::vector<int> half;
  for (int rank = n - 1; rank >= n / 2; --rank) half.push_back(rank);
  const auto some = all.subset(half);
  std::vector<Distribution> result;
  for (const Shape& shape : {Shape{}, Shape{7}, Shape{5, 3}}) {
    for (const auto& placements : all_placements(1, shape.dimensions())) {
      result.emplace_back(all.cartesian({n}), shape, placements);
      result.emplace_back(some.cartesian({some.size()}), shape, placements);
    }
    for (const auto& placements : all_placements(2, shape.dimensions())) {
      result.emplace_back(all.cartesian({n % 2 == 0 ? 2 : 1, n % 2 == 0 ? n / 2 : n}), shape, placements,
                          DistributionOptions{.nesting = {1, 0}});
    }
  }
  return result;
}

TEMPLATE_TEST_CASE("tensors from functions, from a root and from replicated data, and back", "", float, std::int64_t) {
  Sums sums;
  for (const auto& d : many_distributions()) {
    INFO(d.to_string());
    const auto full = whole<TestType>(d.shape());
    const Tensor<TestType> unused({42});

    const auto drawn = DistributedTensor<TestType>::from_function(
        d, [&](std::span<const Index> index) { return forward_numbers(d.shape().flat(index)); });
    check_arrived(drawn, d, forward_numbers, d.to_string() + ", from_function", sums);
    const auto rooted = DistributedTensor<TestType>::from_root(d, my_position(d) == 0 ? full : unused);
    check_arrived(rooted, d, forward_numbers, d.to_string() + ", from_root", sums);
    const auto cut = DistributedTensor<TestType>::from_replicated(d, d.topology().active() ? full : unused);
    check_arrived(cut, d, forward_numbers, d.to_string() + ", from_replicated", sums);
    const auto constant = DistributedTensor<TestType>::constant(d, TestType{6});
    check_arrived(constant, d, {0, 6}, d.to_string() + ", constant", sums);
    check_arrived(DistributedTensor<TestType>::zeros(d), d, {0, 0}, d.to_string() + ", zeros", sums);

    const auto x = laid_out<TestType>(d);
    const Tensor<TestType> nothing(expected_local_shape(d, -1));
    const auto gathered = x.full_tensor();
    CHECK(same(gathered, d.topology().active() ? full : nothing));
    const auto at_root = x.to_root();
    CHECK(same(at_root, my_position(d) == 0 ? full : nothing));
    if (x.local().elements() > 0) {
      CHECK(gathered.data() != x.local().data());
      CHECK(at_root.data() != x.local().data());
      CHECK(rooted.local().data() != full.data());
      CHECK(cut.local().data() != full.data());
    }
  }
  sums.verify();
}

/// What `call` throws must be named on every rank of `topology`: the culprit's own error there, RemoteError elsewhere.
template <class Call>
void check_blamed(const CartesianTopology& topology, int culprit, const std::string& text, Call call) {
  INFO("culprit " << culprit);
  if (!topology.active()) {
    CHECK_NOTHROW(call());
    return;
  }
  try {
    call();
    FAIL_CHECK("nothing was thrown");
  } catch (const RemoteError& error) {
    CHECK(topology.rank() != culprit);
    CHECK(error.rank() == culprit);
    CHECK(contains(error.text(), text));
  } catch (const Error& error) {
    CHECK(topology.rank() == culprit);
    CHECK(contains(error.what(), text));
  }
}

TEST_CASE("a part or a whole of the wrong shape is blamed on its rank, on every rank") {
  const int n = world().size();
  const Partition all(world());
  for (const auto& partition : {all, all.first((n + 1) / 2)}) {
    const auto topology = partition.cartesian({partition.size()});
    const Distribution d(topology, {9, 4}, {Shard{0}});
    const Tensor<double> wrong({99, 1}, 0);
    for (int culprit = 0; culprit < topology.size(); ++culprit) {
      const bool guilty = topology.rank() == culprit;
      const auto part = guilty ? wrong : Tensor<double>(d.local_shape(topology.rank()));
      for (const auto check : {LocalCheck::shapes, LocalCheck::replicas}) {
        check_blamed(topology, culprit, "a tensor of the shape (99, 1) was given where",
                     [&] { DistributedTensor<double>::from_local(d, part, check); });
      }
      CHECK_NOTHROW(DistributedTensor<double>::from_local(d, part, LocalCheck::none));
      check_blamed(topology, culprit, "the shape (99, 1) was given where (9, 4) is needed", [&] {
        DistributedTensor<double>::from_replicated(d, guilty ? wrong : Tensor<double>({9, 4}, 1));
      });
    }
    check_blamed(topology, 0, "the shape (99, 1) was given where (9, 4) is needed", [&] {
      DistributedTensor<double>::from_root(d, topology.rank() == 0 ? wrong : Tensor<double>({9, 4}, 1));
    });
  }
}

TEST_CASE("ranks that name different global shapes are told so, though each part fits what its rank says") {
  const auto topology = Partition(world()).cartesian({world().size()});
  const int last = topology.size() - 1;
  const auto said_by = [&](int rank) {
    return Distribution(topology, Shape{(rank == last ? 5 : 8) * topology.size()}, {Shard{0}});
  };
  const auto mine = said_by(topology.rank());
  const Tensor<double> part(mine.local_shape(topology.rank()));
  const auto text = error_text([&] { DistributedTensor<double>::from_local(mine, part); });
  if (last == 0) {
    CHECK(text == "no error");
  } else {
    CHECK(contains(text, "the distribution of a tensor differs between the ranks"));
    CHECK(contains(text, "rank 0 has " + said_by(0).to_string()));
    CHECK(contains(text, "rank " + std::to_string(last) + " has " + said_by(last).to_string()));
  }
  const auto wrong = Tensor<double>(Shape{1000});  // that is said first
  CHECK(
      contains(error_text([&] { DistributedTensor<double>::from_local(mine, topology.rank() == last ? wrong : part); }),
               "1000"));
}

TEST_CASE("copies that differ are found on whichever rank they are") {
  const int n = world().size();
  const Partition all(world());
  const auto grid = all.cartesian({n % 2 == 0 ? 2 : 1, n % 2 == 0 ? n / 2 : n});
  for (const auto& placements : {Placements{Replicate{}, Replicate{}}, Placements{Shard{0}, Replicate{}},
                                 Placements{Replicate{}, Partial{}}, Placements{Root{}, Replicate{}}}) {
    const Distribution d(grid, {6, 2}, placements);
    INFO(d.to_string());
    const auto x = laid_out<double>(d);
    CHECK_NOTHROW(DistributedTensor<double>::from_local(d, x.local(), LocalCheck::replicas));
    for (int culprit = 0; culprit < n; ++culprit) {
      auto part = x.local().clone();
      if (world().rank() == culprit && part.elements() > 0) part[part.elements() - 1] += 1;
      CHECK_NOTHROW(DistributedTensor<double>::from_local(d, part, LocalCheck::shapes));
      const bool found = d.holds(culprit) && member(d, culprit, Placement::Kind::replicate).of > 1;
      const auto blamed = [&](LocalCheck check) {
        return contains(error_text([&] { DistributedTensor<double>::from_local(d, part, check); }),
                        "the copies of a tensor differ along a Replicate axis");
      };
      CHECK(blamed(LocalCheck::replicas) == found);
      const ChecksScope everything(Checks::collective);
      CHECK(blamed(LocalCheck::shapes) == found);
    }
  }
}

TEST_CASE("the caller's part is shared on the host, copies share, clones do not") {
  const Distribution d(Partition(world()).cartesian({world().size()}, Device{}), {world().size()}, {Shard{0}});
  Tensor<double> part({1}, 1);
  auto x = DistributedTensor<double>::from_local(d, part);
  const auto copy = x;
  const auto clone = x.clone();
  const auto version = copy.version();
  x.modify([](Tensor<double>& local) { local[0] = 5; });
  CHECK(part[0] == 5);
  CHECK(copy.local()[0] == 5);
  CHECK(clone.local()[0] == 1);
  CHECK(copy.version() == version + 1);
  CHECK(x.box()[0] == Interval{world().rank(), world().rank() + 1});
  CHECK(x.holds());

  const auto view = x.viewed_as(Distribution(x.topology(), {world().size(), 1}, {Shard{0}}));
  CHECK(view.local().data() == part.data());
  CHECK(view.local().shape() == Shape{1, 1});
  CHECK(view.version() == x.version());
  CHECK(contains(error_text([&] { x.viewed_as(Distribution(x.topology(), {2 * world().size()}, {Shard{0}})); }),
                 "cannot be viewed as"));
}

TEST_CASE("a verdict on the range of the elements lasts until the next write") {
  const Distribution d(Partition(world()).cartesian({world().size()}), {world().size() + 2}, {Shard{0}});
  auto x = laid_out<std::int64_t>(d, {2, -3});
  const auto range = x.local_range();
  REQUIRE(range);
  CHECK(range->first == 2 * x.box()[0].begin - 3);
  CHECK(range->second == 2 * x.box()[0].end - 5);
  CHECK_FALSE(x.is_checked(100));
  x.set_checked(100);
  const auto copy = x;
  CHECK(copy.is_checked(100));
  CHECK_FALSE(copy.is_checked(99));
  x.modify([](Tensor<std::int64_t>&) {});
  CHECK_FALSE(copy.is_checked(100));
  CHECK_FALSE(DistributedTensor<double>(Distribution(x.topology(), {0}, {Shard{0}})).local_range());
}

TEST_CASE("products and norms are of logical tensors") {
  const Numbers a{1, 1};
  const Numbers b{3, -7};
  for (const auto& d : many_distributions()) {
    INFO(d.to_string());
    double product = 0;
    double square = 0;
    for (Index i = 0; i < d.shape().elements(); ++i) {
      product += static_cast<double>(a(i) * b(i));
      square += static_cast<double>(a(i) * a(i));
    }
    const auto x = laid_out<double>(d, a);
    CHECK(pairing(x, laid_out<double>(d.dual(), b)) == product);
    if (d.any(Placement::Kind::partial)) CHECK(contains(error_text([&] { pairing(x, x); }), "is paired with"));
    CHECK(inner(x, laid_out<double>(d, b)) == product);
    CHECK(inner(x, laid_out<double>(d.gradient(), b)) == product);
    CHECK(norm(x) == std::sqrt(square));
  }
}

TEST_CASE("tensors that are none, or have no ranks, are refused") {
  CHECK(DistributedTensor<double>().is_null());
  const DistributedTensor<double> none;
  const auto d = Distribution(Partition(world()).cartesian({world().size()}), {4}, {Shard{0}});
  const auto advice = [](auto call) { return contains(error_text(call), "without elements is used: make one by"); };
  CHECK(advice([&] { (void)none.local(); }));
  CHECK(advice([&] { (void)none.shape(); }));
  CHECK(advice([&] { (void)none.topology(); }));
  CHECK(advice([&] { (void)none.full_tensor(); }));
  CHECK(advice([&] { redistribute(none, d); }));
  CHECK(advice([&] { redistribute(none, {Replicate{}}); }));
  CHECK(advice([&] {
    auto y = none;
    redistribute_into(DistributedTensor<double>::zeros(d), y);
  }));
  CHECK(contains(error_text([] { DistributedTensor<double>(Distribution(Grid(Shape{2}), {4}, {Shard{0}})); }),
                 "has no ranks"));
}

}  // namespace
}  // namespace tartan
