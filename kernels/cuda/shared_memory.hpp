#pragma once

namespace tartan::kernels {

/// The dynamic shared memory of the block, aligned to 16 bytes: as many bytes as launch() was told.
template <class T>
__device__ T* shared_memory() {
  extern __shared__ __align__(16) unsigned char tartan_shared_memory[];
  return reinterpret_cast<T*>(tartan_shared_memory);
}

}  // namespace tartan::kernels
