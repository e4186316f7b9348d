#pragma once

#include "simulated_cuda/simt.hpp"

// In place of the header of the same name, which declares an external array that g++ has not.
namespace tartan::kernels {

template <class T>
T* shared_memory() {
  return static_cast<T*>(simulated_cuda::dynamic_shared_memory());
}

}  // namespace tartan::kernels
