#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <sys/auxv.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "internal.hpp"

// The host's accesses to memory of a device. Which are let through, after all streams have finished:
// TARTAN_SIMULATED_CUDA_HOST_READS = none (default), program (those in code of the program itself, not of a library: so
// that tests may look), shareable (these, and those of anybody to memory of cudaMalloc, as of an MPI that takes it),
// all.

namespace simulated_cuda {
namespace {

std::uintptr_t range_begin = 0;
std::uintptr_t range_end = 0;
struct sigaction before {};

void* object_of(const void* code, std::string_view* file = nullptr) {
  Dl_info object{};
  if (dladdr(code, &object) == 0) return nullptr;
  if (file != nullptr) *file = object.dli_fname;
  return object.dli_fbase;
}

/// Whether the first function on the way here that belongs neither to the simulation nor to a standard library belongs
/// to the program.
bool called_by_program() {
  static void* const program = object_of(reinterpret_cast<const void*>(getauxval(AT_PHDR)));
  static void* const simulation = object_of(reinterpret_cast<const void*>(&watch));
  std::array<void*, 64> frames{};
  const int count = backtrace(frames.data(), static_cast<int>(frames.size()));
  for (int i = 0; i < count; ++i) {
    std::string_view file;
    const void* object = object_of(static_cast<const char*>(frames[static_cast<std::size_t>(i)]) - 1, &file);
    const auto name = file.substr(file.rfind('/') + 1);
    if (object == simulation || name.starts_with("libc.so") || name.starts_with("libstdc++")) continue;
    return object == program;
  }
  return false;
}

bool let_through(const void* address) {
  const char* const text = std::getenv("TARTAN_SIMULATED_CUDA_HOST_READS");
  const std::string_view rule = text == nullptr ? "none" : text;
  if (rule == "all" || (rule == "shareable" && memory::is_shareable(address))) return true;
  return (rule == "program" || rule == "shareable") && called_by_program();
}

void on_fault(int signal, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  if (address < range_begin || range_end <= address) {
    sigaction(signal, &before, nullptr);  // the access is repeated and goes to whoever was there
    return;
  }
  if (!let_through(info->si_addr)) give_up("host access to device memory");
  {
    const Call call;
    finish_all();
    const auto text = memory::fault(info->si_addr, 1, -1);
    if (!text.empty()) give_up("the program uses " + text);
  }
  memory::open();  // until the next call
}

}  // namespace

void watch(const void* begin, const void* end) {
  range_begin = reinterpret_cast<std::uintptr_t>(begin);
  range_end = reinterpret_cast<std::uintptr_t>(end);
  void* warm = nullptr;
  (void)backtrace(&warm, 1);  // loads what it needs, which is not allowed in a handler
}

void stay_on_watch() {
  struct sigaction now {};
  sigaction(SIGSEGV, nullptr, &now);
  if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_fault) return;
  before = now;
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, nullptr);
}

}  // namespace simulated_cuda
