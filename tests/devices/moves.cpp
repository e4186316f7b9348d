// Tensors on CUDA devices: what moves, where it lies, what the host sees.

#include <tartan/autograd/operations.hpp>
#include <tartan/distributed/redistribution.hpp>

#include <vector>

#include "devices/both.hpp"
#include "distributed/logical.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

Index number(std::span<const Index> index) {
  Index result = 1;
  for (const Index i : index) result = 7 * result + i;
  return result;
}

TEST_CASE("a topology that no device is there for is refused on every rank") {
  const Partition all(world());
  CHECK_THROWS_AS(all.cartesian({all.size()}, Device::cuda(1000)), Error);
  if (!cuda::built_in()) {
    CHECK(error_text([&] { (void)all.cartesian({all.size()}, Device::cuda()); }).find("TARTAN_CUDA=ON") !=
          std::string::npos);
  }
  CHECK(all.cartesian({all.size()}, Device{}).device() == Device{});
}

TEST_CASE("topologies are equal where every rank's device is, and every rank says so") {
  if (no_devices() || cuda::device_count() < 2) return;
  const Partition all(world());
  const int n = all.size();
  const auto zero = all.cartesian({n}, Device::cuda(0));
  const auto last = all.cartesian({n}, Device::cuda(all.rank() == n - 1 ? 1 : 0));  // another one on one rank alone
  const auto mixed = all.cartesian({n}, all.rank() == 0 ? Device::cuda(0) : Device::cuda());
  CHECK(zero.devices() == std::vector(static_cast<std::size_t>(n), Device::cuda(0)));
  CHECK(zero == all.cartesian({n}, Device::cuda(0)));
  CHECK_FALSE(zero == last);
  CHECK_FALSE(zero == all.cartesian({n}, Device{}));
  for (int rank = 0; rank < n; ++rank) {
    CHECK(last.devices()[static_cast<std::size_t>(rank)] == Device::cuda(rank == n - 1 ? 1 : 0));
    CHECK(mixed.devices()[static_cast<std::size_t>(rank)] == Device::cuda(rank % cuda::device_count()));
  }
  CHECK(last.device() == last.devices()[static_cast<std::size_t>(all.rank())]);

  const auto backwards = all.subset([n] {
                              std::vector<int> ranks;
                              for (int r = n - 1; r >= 0; --r) ranks.push_back(r);
                              return ranks;
                            }())
                             .cartesian({n, 1}, all.rank() == n - 1 ? Device::cuda(1) : Device::cuda(0));
  CHECK(backwards.device() == last.device());
  const auto sub = backwards.along({0});
  CHECK(sub.devices().front() == Device::cuda(1));
  CHECK(sub.device() == last.device());
  CHECK(backwards.along({1}).devices() == std::vector{last.device()});

  // What lies on one of them moves to the other.
  const auto x = DistributedTensor<float>::from_function(Distribution(zero, Shape{7, 3}, {Shard{0}}), number);
  const Distribution there(last, Shape{7, 3}, {Shard{1}});
  CHECK(there.to_string() ==
        "(7, 3): [Shard(1)] on " + std::to_string(n) + (n == 1 ? " (cuda:1)" : " (cuda:0, cuda:1)"));
  const auto whole = redistribute(x, there).full_tensor();
  for (Index i = 0; i < 21; ++i) CHECK(whole[i] == static_cast<float>(number(std::vector{i / 3, i % 3})));
  CHECK(contains(
      error_text([&] { (void)(Variable<float>(x) + Variable<float>(redistribute(x, there.with(0, Shard{0})))); }),
      "cuda:1"));
}

TEST_CASE("ranks with devices of two kinds make no grid") {
  if (no_devices() || world().size() == 1) return;
  const Partition all(world());
  const auto text = error_text([&] { (void)all.cartesian({all.size()}, all.rank() == 1 ? Device{} : Device::cuda()); });
  CHECK(text == "a grid has one kind of device, but rank 0 brings cuda and rank 1 brings cpu");
}

TEST_CASE("parts lie on the topology's device, and the host sees copies") {
  if (no_devices()) return;
  const Partition all(world());
  const auto grid = all.cartesian({all.size()}, Device::cuda());
  CHECK(grid.device().ordinal == all.rank() % cuda::device_count());
  const Distribution d(grid, Shape{7, 3}, {Shard{0}});
  const auto x = DistributedTensor<std::int64_t>::from_function(d, number);
  CHECK(x.local().device() == grid.device());
  const auto host = x.local_on_host();
  CHECK(host.device() == Device{});
  const auto box = x.box();
  for (Index i = 0; i < host.elements(); ++i) {
    CHECK(std::as_const(host)[i] == number(std::vector{box[0].begin + i / 3, i % 3}));
  }
  const auto whole = x.full_tensor();
  CHECK(whole.device() == Device{});
  for (Index i = 0; i < 21; ++i) CHECK(whole[i] == number(std::vector{i / 3, i % 3}));

  Tensor<float> mine(d.local_shape(grid.rank()), 2.5F);
  const auto floats = DistributedTensor<float>::from_local(d, mine);
  CHECK(floats.local().device() == grid.device());
  mine.fill(0);
  const auto copy = floats.clone().local_on_host();
  for (const float f : copy.span()) CHECK(f == 2.5F);
  CHECK(grid.along({0}).device() == grid.device());
}

TEMPLATE_TEST_CASE("tensors move between the host's grid and a device's, in every placement", "", float, std::int64_t) {
  if (no_devices()) return;
  const Partition all(world());
  const int n = all.size();
  const std::vector<Shape> grids{Shape{n}, n % 2 == 0 ? Shape{2, n / 2} : Shape{n, 1}};
  for (const auto& shape : grids) {
    const auto host = all.cartesian(shape, Device{});
    const auto device = all.cartesian(shape, Device::cuda());
    CHECK_FALSE(host == device);
    for (const auto& from : all_placements(shape.dimensions(), 2)) {
      for (const auto& to : all_placements(shape.dimensions(), 2)) {
        const auto x = DistributedTensor<TestType>::from_function(Distribution(host, Shape{5, 4}, from), number);
        const Distribution there(device, Shape{5, 4}, to);
        INFO(x.distribution().to_string() << " -> " << there.to_string());
        const auto y = redistribute(x, there);
        const auto back = redistribute(y, x.distribution().with(Placements(from.size(), Replicate{})));
        const auto whole = back.full_tensor();
        for (Index i = 0; i < whole.elements(); ++i) {
          CHECK(whole[i] == static_cast<TestType>(number(std::vector{i / 4, i % 4})));
        }
      }
    }
  }
}

TEST_CASE("messages of several staged pieces arrive whole") {
  if (no_devices()) return;
  const Partition all(world());
  const auto grid = all.cartesian({all.size()}, Device::cuda());
  const Index n = (Index{1} << 22) + 3;  // floats: two pieces and a bit
  const auto value = [](std::span<const Index> i) { return static_cast<double>(i[0] % 1000); };
  const auto x = DistributedTensor<float>::from_function(Distribution(grid, Shape{n}, {Root{}}), value);
  const auto copies = redistribute(x, x.distribution().with(0, Replicate{}));
  const auto terms = copies.viewed_as(copies.distribution().with(0, Partial{}));
  for (const auto placement : {Placement(Replicate{}), Placement(Root{}), Placement(Shard{0})}) {
    const auto sum = redistribute(terms, terms.distribution().with(0, placement));
    const auto part = sum.local_on_host();
    const Index first = sum.box()[0].begin;
    bool right = true;
    for (Index i = 0; i < part.elements(); ++i)
      right = right && std::as_const(part)[i] == static_cast<float>(all.size() * ((first + i) % 1000));
    CHECK(right);
  }
}

TEST_CASE("work goes to the stream of the innermost scope, in the order of the program") {
  if (no_devices()) return;
  const Device device = Device::cuda(0);
  CUstream_st* const own = cuda::stream(device);
  const auto x = Tensor<float>(Shape{100000}, 3.0F).to(device);
  {
    const cuda::StreamScope scope(device, own);
    CHECK(cuda::stream(device) == own);
    CHECK(x.clone().to(Device{})[99999] == 3.0F);
  }
  CHECK(cuda::stream(device) == own);
  cuda::synchronize(device);
}

}  // namespace
}  // namespace tartan
