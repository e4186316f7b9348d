#pragma once

#include <vector>

#include <tartan/comm/communicator.hpp>
#include <tartan/device/device.hpp>

#include "device/nccl.hpp"

namespace tartan {

/// The ranks of `communicator` as NCCL connects the devices of all, this rank's being `mine`; null where what lies
/// there goes by staging or through MPI: where transport() says so, on one rank, and where a rank has no NCCL, shares
/// its device with another, or cannot start NCCL. Throws Error on every rank in the last three cases if
/// TARTAN_TRANSPORT asks for nccl.
///
/// For callers that communicate anyway: collective over the communicator when it is first called with these `devices`,
/// which tell apart what is asked for on one communicator: those of all ranks, the same on each, or none where the
/// ranks have no others. It is kept until the communicator is freed.
const device::Nccl* nccl_group(const Communicator& communicator, Device mine, const std::vector<Device>& devices);

}  // namespace tartan
