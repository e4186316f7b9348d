// What goes between devices by NCCL arrives as it does through MPI; on ranks that share devices the same by staging.

#include <tartan/comm/recorder.hpp>
#include <tartan/distributed/combine.hpp>
#include <tartan/distributed/redistribution.hpp>

#include <cmath>
#include <cstdlib>
#include <vector>

#include "comm/nccl_group.hpp"
#include "comm/transport.hpp"
#include "devices/both.hpp"
#include "distributed/logical.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

TEST_CASE("NCCL connects ranks that have a device each") {
  if (std::getenv("TARTAN_TESTS_NEED_NCCL") != nullptr) REQUIRE(have_nccl());
  if (no_devices()) return;
  const Partition all(world());
  const auto grid = all.cartesian({all.size()}, Device::cuda());
  const auto* const group = nccl_group(grid.axis(0), grid.device(), {});
  CHECK((group != nullptr) == have_nccl());
  CHECK(nccl_group(grid.axis(0), grid.device(), {}) == group);
  CHECK((nccl_group(grid.root(), grid.device(), grid.devices()) != nullptr) == have_nccl());
  CHECK(nccl_group(grid.axis(0), Device{}, {}) == nullptr);
  CHECK(nccl_group(all.cartesian({all.size()}, Device{}).axis(0), Device{}, {}) == nullptr);

  const auto shared = all.cartesian({all.size()}, Device::cuda(0));
  CHECK(nccl_group(shared.axis(0), shared.device(), {}) == nullptr);
  // One communicator, other devices.
  CHECK(nccl_group(shared.root(), shared.device(), shared.devices()) == nullptr);
}

TEST_CASE("where NCCL is asked for and cannot be, every rank says why", "[.demanded]") {
  const Partition all(world());
  const auto grid = all.cartesian({all.size()}, Device::cuda(0));
  const auto x = DistributedTensor<float>::zeros(Distribution(grid, Shape{4}, {Root{}}));
  const auto text = error_text([&] { (void)redistribute(x, {Replicate{}}); });
  CHECK(text.find("TARTAN_TRANSPORT is nccl, but not for \"axis 0 of 2\"") != std::string::npos);
  CHECK(text.find("its ranks 0 and 1 share a device") != std::string::npos);
}

TEST_CASE("where NCCL cannot start, on all ranks or on one, what it would move is staged") {
  // Only the simulated one can be told to fail.
  if (std::getenv("TARTAN_SIMULATED_CUDA_DEVICES") == nullptr || !have_nccl()) return;
  const Partition all(world());
  for (const char* step : {"id", "init"}) {
    const auto grid = all.cartesian({all.size()}, Device::cuda());
    setenv("TARTAN_SIMULATED_NCCL_FAILS", step, 1);
    CHECK(nccl_group(grid.axis(0), grid.device(), {}) == nullptr);
    unsetenv("TARTAN_SIMULATED_NCCL_FAILS");
    const auto x = DistributedTensor<float>::from_function(Distribution(grid, Shape{4}, {Root{}}),
                                                           [](auto i) { return 2.0 * static_cast<double>(i[0]); });
    CHECK(redistribute(x, {Replicate{}}).full_tensor()[3] == 6);
    CHECK(nccl_group(grid.axis(0), grid.device(), {}) == nullptr);
  }
}

TEST_CASE("where NCCL is asked for and cannot start, every rank says why", "[.demanded]") {
  const Partition all(world());
  for (const auto& [step, rank] : {std::pair{"id", 0}, std::pair{"init", 1}}) {
    const auto grid = all.cartesian({all.size()}, Device::cuda());
    const auto x = DistributedTensor<float>::zeros(Distribution(grid, Shape{4}, {Root{}}));
    setenv("TARTAN_SIMULATED_NCCL_FAILS", step, 1);
    const auto text = error_text([&] { (void)redistribute(x, {Replicate{}}); });
    unsetenv("TARTAN_SIMULATED_NCCL_FAILS");
    CHECK(text.find("TARTAN_TRANSPORT is nccl, but not for \"axis 0 of 2\"") != std::string::npos);
    CHECK(text.find("rank " + std::to_string(rank) + ": ") != std::string::npos);
    CHECK(text.find("unhandled system error") != std::string::npos);
  }
}

/// What a move gives on this rank, and what was recorded.
template <class T>
struct Moved {
  Tensor<T> part;
  std::vector<std::pair<Collective, Index>> records;
};
template <class T>
Moved<T> moved(const CartesianTopology& from, const CartesianTopology& to, const Shape& shape, const Placements& before,
               const Placements& after, Numbers numbers) {
  const auto x = laid_out<T>(Distribution(from, shape, before), numbers);
  const CommRecorder recorder;
  const auto y = redistribute(x, Distribution(to, shape, after));
  Moved<T> result{y.local_on_host(), {}};
  for (const auto& record : recorder.records()) {
    if (record.size > 1) result.records.emplace_back(record.collective, record.bytes);
  }
  return result;
}

/// The types of 16 bits are added in the order of ranks: there the bits agree where sums are rounded.
template <class T>
Numbers numbers_of() {
  return sizeof(T) == 2 ? Numbers{37, 3} : Numbers{1, 1};
}

TEMPLATE_TEST_CASE("all moves along an axis bring on devices what they bring on the processor", "", float, double,
                   bfloat16, half, std::int32_t, std::int64_t) {
  if (no_devices()) return;
  const Partition all(world());
  const int n = all.size();
  const auto host = all.cartesian({n}, Device{});
  const auto device = all.cartesian({n}, Device::cuda());
  for (const auto& shape : {Shape{7, 5}, Shape{4, 8}, Shape{1, 3}}) {
    for (const auto& from : all_placements(1, 2)) {
      for (const auto& to : all_placements(1, 2)) {
        INFO(Distribution(device, shape, from).to_string() << " -> " << Distribution(device, shape, to).to_string());
        const auto expected = moved<TestType>(host, host, shape, from, to, numbers_of<TestType>());
        const auto found = moved<TestType>(device, device, shape, from, to, numbers_of<TestType>());
        CHECK(same_bits(found.part, expected.part));
        CHECK(found.records == expected.records);
      }
    }
  }
}

TEMPLATE_TEST_CASE("tensors move between grids on the same devices", "", float, half, std::int64_t) {
  if (no_devices() || world().size() == 1) return;
  const Partition all(world());
  const int n = all.size();
  const auto some = all.first(n - 1);
  for (const auto& from : all_placements(2, 2)) {
    for (const auto& to : all_placements(1, 2)) {
      const auto move = [&](Device where) {
        return moved<TestType>(all.cartesian({1, n}, where), some.cartesian({n - 1}, where), {5, 4}, from, to,
                               numbers_of<TestType>());
      };
      const auto expected = move(Device{});
      const auto found = move(Device::cuda());
      CHECK(same_bits(found.part, expected.part));
      CHECK(found.records == expected.records);
    }
  }
}

TEST_CASE("numbers of all ranks meet on devices, also their maxima") {
  if (no_devices()) return;
  const Partition all(world());
  const int n = all.size();
  const auto grid = all.cartesian({n}, Device::cuda());
  Tensor<float> mine(Shape{3}, static_cast<float>(grid.rank() + 1));
  auto sums = mine.to(grid.device());
  combine_along(grid, {0}, sums);
  CHECK(sums.to(Device{})[2] == static_cast<float>(n * (n + 1) / 2));
  auto largest = mine.to(grid.device());
  combine_along(grid, {0}, largest, Reduction::max);
  CHECK(largest.to(Device{})[1] == static_cast<float>(n));
  const auto beside = gather_along(grid, {0}, mine.to(grid.device())).to(Device{});
  for (Index i = 0; i < 3 * n; ++i) CHECK(beside[i] == static_cast<float>(i / 3 + 1));
}

TEST_CASE("moves after moves need nobody to wait in between") {
  if (no_devices()) return;
  const Partition all(world());
  const auto grid = all.cartesian({all.size()}, Device::cuda());
  const Distribution d(grid, Shape{9}, {Root{}});
  auto x = DistributedTensor<double>::from_function(d, [](std::span<const Index> i) { return 1.5 * double(i[0]); });
  for (int round = 0; round < 3; ++round) {
    x = redistribute(redistribute(x, {Replicate{}}).viewed_as(d.with(0, Partial{})), {Shard{0}});
    x = redistribute(x, {Root{}});
  }
  const auto whole = x.full_tensor();
  const double factor = std::pow(all.size(), 3);
  for (Index i = 0; i < 9; ++i) CHECK(whole[i] == factor * 1.5 * static_cast<double>(i));
}

TEST_CASE("communicators of NCCL end with those of MPI") {
  if (no_devices()) return;
  const Partition all(world());
  for (int i = 0; i < 20; ++i) {
    const auto grid = all.cartesian({all.size()}, Device::cuda());
    const auto x = DistributedTensor<float>::zeros(Distribution(grid, Shape{4}, {Root{}}));
    CHECK(redistribute(x, {Replicate{}}).full_tensor()[3] == 0);
  }
}

}  // namespace
}  // namespace tartan
