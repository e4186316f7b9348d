#include "comm/transport.hpp"

#include <dlfcn.h>

#include <optional>

#include "comm/settings.hpp"
#include "device/nccl.hpp"

namespace tartan {
namespace {

/// Open MPI's query, which MPICH has as well. Looked up at run time: a library without it does not take device memory.
bool mpi_takes_device_memory() {
  using Query = int (*)();
  const auto query = reinterpret_cast<Query>(::dlsym(RTLD_DEFAULT, "MPIX_Query_cuda_support"));
  return query != nullptr && query() != 0;
}

}  // namespace

Transport transport() {
  static const Transport chosen = [] {
    if (const auto wanted = transport_setting()) return *wanted;
    if (mpi_takes_device_memory()) return Transport::mpi;
    return device::nccl_built_in() ? Transport::nccl : Transport::staging;
  }();
  return chosen;
}

}  // namespace tartan
