#pragma once

#include <cstddef>
#include <string>

#include "internal.hpp"

/// What is verified at each access to memory that a kernel makes: the compiler calls in for each (-fsanitize=thread,
/// with other functions behind the calls).
///   - Global memory must belong to a block that is allocated on the kernel's device, the host's must be page-locked.
///   - Shared memory must have been written in this block of threads before it is read.
///   - No thread may read shared memory that another wrote, or write what another read, before both have met.
namespace simulated_cuda::checks {

enum class Access { read, write, atomic };

void begin(const Launch& launch);
void end();
/// Before each access in a source with kernels: host code of the same files comes here too, without a kernel that runs.
void access(const void* memory, std::size_t bytes, Access access);
void allow_stacks(const char* begin, std::size_t bytes);

/// Ends the process with a report about the running kernel.
[[noreturn]] void fail(const std::string& text);

// ---- shared_memory.cpp

/// A new block begins: shared memory is unwritten, the dynamic part of it has that size.
void shared_memory_of_block(std::size_t bytes);
void block_met();
void lanes_met(int warp);
/// False where the address is none of shared memory.
bool shared_access(const char* address, std::size_t bytes, Access access);

}  // namespace simulated_cuda::checks

namespace simulated_cuda {

// ---- simt.cpp

/// The number within its block of the thread that runs.
int running_thread();
void let_others_run();

}  // namespace simulated_cuda
