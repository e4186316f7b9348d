#include <cstdint>

#include "checks.hpp"

// What the compiler calls for each access to memory, by the names of its thread sanitizer.

using simulated_cuda::checks::Access;
using simulated_cuda::checks::access;

extern "C" {

void __tsan_init() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(const void* address, std::size_t bytes) { access(address, bytes, Access::read); }
void __tsan_write_range(const void* address, std::size_t bytes) { access(address, bytes, Access::write); }
void __tsan_atomic_thread_fence(int) {}
void __tsan_atomic_signal_fence(int) {}

#define PLAIN(bytes)                                                                               \
  void __tsan_read##bytes(const void* address) { access(address, bytes, Access::read); }           \
  void __tsan_write##bytes(const void* address) { access(address, bytes, Access::write); }         \
  void __tsan_unaligned_read##bytes(const void* address) { access(address, bytes, Access::read); } \
  void __tsan_unaligned_write##bytes(const void* address) { access(address, bytes, Access::write); }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

// The host's atomic operations, of std::shared_ptr for one.
#define ATOMIC(bits)                                                                                      \
  std::int##bits##_t __tsan_atomic##bits##_load(const std::int##bits##_t* a, int) {                       \
    return __atomic_load_n(a, __ATOMIC_SEQ_CST);                                                          \
  }                                                                                                       \
  void __tsan_atomic##bits##_store(std::int##bits##_t* a, std::int##bits##_t v, int) {                    \
    __atomic_store_n(a, v, __ATOMIC_SEQ_CST);                                                             \
  }                                                                                                       \
  std::int##bits##_t __tsan_atomic##bits##_exchange(std::int##bits##_t* a, std::int##bits##_t v, int) {   \
    return __atomic_exchange_n(a, v, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                                       \
  std::int##bits##_t __tsan_atomic##bits##_fetch_add(std::int##bits##_t* a, std::int##bits##_t v, int) {  \
    return __atomic_fetch_add(a, v, __ATOMIC_SEQ_CST);                                                    \
  }                                                                                                       \
  std::int##bits##_t __tsan_atomic##bits##_fetch_sub(std::int##bits##_t* a, std::int##bits##_t v, int) {  \
    return __atomic_fetch_sub(a, v, __ATOMIC_SEQ_CST);                                                    \
  }                                                                                                       \
  bool __tsan_atomic##bits##_compare_exchange_strong(std::int##bits##_t* a, std::int##bits##_t* expected, \
                                                     std::int##bits##_t v, int, int) {                    \
    return __atomic_compare_exchange_n(a, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
  }                                                                                                       \
  bool __tsan_atomic##bits##_compare_exchange_weak(std::int##bits##_t* a, std::int##bits##_t* expected,   \
                                                   std::int##bits##_t v, int, int) {                      \
    return __atomic_compare_exchange_n(a, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
  }
ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)

}  // extern "C"
