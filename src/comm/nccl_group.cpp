#include "comm/nccl_group.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include <tartan/comm/agreement.hpp>

#include "base/fail.hpp"
#include "comm/mpi_call.hpp"
#include "comm/settings.hpp"

namespace tartan {
namespace {

struct Group {
  std::vector<Device> devices;
  Device mine;
  std::unique_ptr<const device::Nccl> nccl;
};
using Groups = std::vector<Group>;

/// MPI keeps the groups of a communicator with it, and gives them to this when it is freed.
int forget(MPI_Comm, int, void* groups, void*) {
  delete static_cast<Groups*>(groups);
  return MPI_SUCCESS;
}

Groups& groups_of(const Communicator& communicator) {
  static const int key = [&] {
    int made = MPI_KEYVAL_INVALID;
    check_mpi(MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, forget, &made, nullptr), communicator, "nccl_group");
    return made;
  }();
  void* groups = nullptr;
  int found = 0;
  check_mpi(MPI_Comm_get_attr(communicator.native(), key, static_cast<void*>(&groups), &found), communicator,
            "nccl_group");
  if (found == 0) {
    auto made = std::make_unique<Groups>();
    check_mpi(MPI_Comm_set_attr(communicator.native(), key, made.get()), communicator, "nccl_group");
    groups = made.release();
  }
  return *static_cast<Groups*>(groups);
}

/// What keeps the ranks from using NCCL: all find something, or none does.
std::optional<std::string> hindrance(const Communicator& communicator, Device mine) {
  struct Said {
    device::Identity device{};
    int has_nccl = 0;
  };
  Said said;
  try {
    if (device::why_no_nccl().empty()) said = {device::identity(mine), 1};
  } catch (const CudaError&) {
    // Without one, this rank cannot use it.
  }
  std::vector<Said> all(static_cast<std::size_t>(communicator.size()));
  check_mpi(MPI_Allgather(&said, sizeof(Said), MPI_BYTE, all.data(), sizeof(Said), MPI_BYTE, communicator.native()),
            communicator, "nccl_group");
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank].has_nccl == 0) {
      const auto& why = device::why_no_nccl();
      return fmt::format("rank {} cannot use it{}{}", rank, why.empty() ? "" : ": ", why);
    }
    const auto before = std::ranges::find(all, all[rank].device, &Said::device) - all.begin();
    if (std::cmp_less(before, rank)) return fmt::format("its ranks {} and {} share a device", before, rank);
  }
  return std::nullopt;
}

/// Runs `step` on every rank: what the lowest rank says that failed, if one did.
template <class Step>
std::optional<std::string> fault_of(const Communicator& communicator, const Step& step) {
  std::string text;
  int culprit = communicator.size();
  try {
    step();
  } catch (const CudaError& error) {
    text = error.what();
    culprit = communicator.rank();
  }
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &culprit, 1, MPI_INT, MPI_MIN, communicator.native()), communicator,
            "nccl_group");
  if (culprit == communicator.size()) return std::nullopt;
  auto length = static_cast<int>(text.size());
  check_mpi(MPI_Bcast(&length, 1, MPI_INT, culprit, communicator.native()), communicator, "nccl_group");
  text.resize(static_cast<std::size_t>(length));
  check_mpi(MPI_Bcast(text.data(), length, MPI_CHAR, culprit, communicator.native()), communicator, "nccl_group");
  return fmt::format("rank {}: {}", culprit, text);
}

std::unique_ptr<const device::Nccl> connect(const Communicator& communicator, Device mine) {
  if (checks() == Checks::collective) check_collective(communicator, [] { return std::string("an NCCL group"); });
  device::Nccl::Id id{};
  std::unique_ptr<const device::Nccl> nccl;
  auto why = hindrance(communicator, mine);
  if (!why) {
    why = fault_of(communicator, [&] {
      if (communicator.rank() == 0) id = device::Nccl::new_id();
    });
  }
  if (!why) {
    check_mpi(MPI_Bcast(id.data(), static_cast<int>(id.size()), MPI_BYTE, 0, communicator.native()), communicator,
              "nccl_group");
    why = fault_of(communicator, [&] {
      nccl = std::make_unique<const device::Nccl>(mine, id, communicator.size(), communicator.rank());
    });
  }
  if (!why) return nccl;
  require(transport_setting() != Transport::nccl, "TARTAN_TRANSPORT is nccl, but not for \"{}\": {}",
          communicator.name(), *why);
  return nullptr;
}

}  // namespace

const device::Nccl* nccl_group(const Communicator& communicator, Device mine, const std::vector<Device>& devices) {
  if (mine.is_cpu() || communicator.size() == 1 || transport() != Transport::nccl) return nullptr;
  communicator.require_usable();
  auto& groups = groups_of(communicator);
  auto found = std::ranges::find(groups, devices, &Group::devices);
  if (found == groups.end()) {
    groups.push_back({devices, mine, connect(communicator, mine)});
    found = groups.end() - 1;
  }
  require(found->mine == mine, "\"{}\" connects {} and is asked to move what lies on {}", communicator.name(),
          found->mine, mine);
  return found->nccl.get();
}

}  // namespace tartan
