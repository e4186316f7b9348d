#pragma once

namespace tartan {

/// How MPI gets at what lies on a CUDA device.
enum class Transport {
  staging,  ///< by way of page-locked host memory
  mpi,      ///< MPI reads and writes device memory itself
};

/// What TARTAN_TRANSPORT says (staging or mpi), otherwise mpi where the MPI library says at run time that it takes
/// device memory, and staging elsewhere. Non-blocking reductions of device memory are never asked for.
Transport transport();

}  // namespace tartan
