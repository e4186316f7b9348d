#pragma once

namespace tartan {

/// How what lies on CUDA devices gets to other ranks.
enum class Transport {
  staging,  ///< through MPI by way of page-locked host memory
  mpi,      ///< the same, by way of device memory that MPI reads and writes itself
  nccl,     ///< by NCCL between ranks that have a device each, by staging between others (comm/nccl_group.hpp)
};

/// What TARTAN_TRANSPORT says, which is the same on every rank; otherwise mpi where the MPI library says at run time
/// that it takes device memory, nccl in a build with NCCL, and staging elsewhere. Non-blocking reductions of device
/// memory are never asked for.
Transport transport();

}  // namespace tartan
