#include <tartan/partition/partition.hpp>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <string_view>

#include <tartan/comm/agreement.hpp>
#include <tartan/partition/cartesian_topology.hpp>

#include "base/fail.hpp"

namespace tartan {

struct Partition::State {
  Communicator root;
  std::vector<int> ranks;
  Communicator communicator;
};

namespace {

/// Equal ranks in equal order: a local question.
bool same_ranks(const Communicator& a, const Communicator& b) {
  if (a.native() == b.native()) return true;
  if (a.is_null() || b.is_null()) return false;
  a.require_usable();
  int result = MPI_UNEQUAL;
  MPI_Comm_compare(a.native(), b.native(), &result);
  return result == MPI_IDENT || result == MPI_CONGRUENT;
}

Communicator communicator_of(const Communicator& root, const std::vector<int>& ranks) {
  check_collective(root, [&] { return fmt::format("partition of the ranks [{}]", fmt::join(ranks, ", ")); });
  if (root.is_null()) return {};
  const auto mine = std::ranges::find(ranks, root.rank());
  const bool active = mine != ranks.end();
  return root.split(active ? 0 : -1, active ? static_cast<int>(mine - ranks.begin()) : 0, "partition");
}

}  // namespace

Partition::Partition(Communicator root) {
  require(!root.is_null(), "a partition needs a communicator");
  std::vector<int> ranks(static_cast<std::size_t>(root.size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  state_ = std::make_shared<const State>(State{root, std::move(ranks), root});
}

Partition::Partition(Communicator root, std::vector<int> ranks, Communicator communicator)
    : state_(std::make_shared<const State>(State{std::move(root), std::move(ranks), std::move(communicator)})) {}

const Communicator& Partition::root() const {
  require(state_ != nullptr, "an empty partition is used");
  return state_->root;
}

const std::vector<int>& Partition::ranks() const {
  require(state_ != nullptr, "an empty partition is used");
  return state_->ranks;
}

const Communicator& Partition::communicator() const {
  require(state_ != nullptr, "an empty partition is used");
  return state_->communicator;
}

Partition Partition::first(int count) const {
  require(1 <= count && count <= size(), "the first {} ranks of a partition of {} were asked for{}", count, size(),
          count < 1 ? ""
          : size() > 1
              ? fmt::format(": start the program by mpiexec -n {}, or more", count)
              : fmt::format(": start the program by mpiexec -n {}, or more, of the MPI it is linked with", count));
  std::vector<int> positions(static_cast<std::size_t>(count));
  std::iota(positions.begin(), positions.end(), 0);
  return subset(positions);
}

Partition Partition::subset(std::span<const int> positions) const {
  require(!positions.empty(), "a partition needs at least one rank");
  std::vector<int> chosen;
  for (const int position : positions) {
    require(0 <= position && position < size(), "rank {} does not exist in a partition of {}", position, size());
    const int rank = ranks()[static_cast<std::size_t>(position)];
    require(std::ranges::find(chosen, rank) == chosen.end(), "rank {} is named twice", position);
    chosen.push_back(rank);
  }
  auto communicator = communicator_of(root(), chosen);
  return {root(), std::move(chosen), std::move(communicator)};
}

Partition Partition::unite(const Partition& other) const {
  require(shares_root_with(other), "two partitions without a common root cannot be united");
  auto all = ranks();
  for (const int rank : other.ranks()) {
    if (std::ranges::find(all, rank) == all.end()) all.push_back(rank);
  }
  auto communicator = communicator_of(root(), all);
  return {root(), std::move(all), std::move(communicator)};
}

bool Partition::shares_root_with(const Partition& other) const { return same_ranks(root(), other.root()); }

CartesianTopology Partition::cartesian(const Shape& shape, Device device) const { return {*this, shape, device}; }

Device default_device() {
  const char* text = std::getenv("TARTAN_DEVICE");
  const std::string_view name = text == nullptr ? "" : text;
  require(name.empty() || name == "cpu" || name == "cuda", "TARTAN_DEVICE is \"{}\", expected cpu or cuda", name);
  return name == "cuda" ? Device::cuda() : Device{};
}

bool operator==(const Partition& a, const Partition& b) {
  if (a.state_ == b.state_) return true;
  if (!a.state_ || !b.state_) return false;
  return a.state_->ranks == b.state_->ranks && same_ranks(a.state_->root, b.state_->root);
}

}  // namespace tartan
