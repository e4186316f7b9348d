#include <dlfcn.h>
#include <execinfo.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "internal.hpp"

namespace simulated_cuda {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

std::string describe(const void* code) {
  Dl_info object{};
  if (dladdr(code, &object) == 0 || object.dli_fname == nullptr) return "?";
  const auto offset = static_cast<const char*>(code) - static_cast<const char*>(object.dli_fbase);
  std::array<char, 1024> text{};
  std::snprintf(text.data(), text.size(), "addr2line -f -C -s -e '%s' 0x%lx 2>/dev/null", object.dli_fname, offset);
  std::string function = "?";
  if (std::FILE* lines = popen(text.data(), "r")) {
    std::array<char, 400> line{};
    if (std::fgets(line.data(), line.size(), lines) != nullptr) function = line.data();
    while (std::fgets(text.data(), text.size(), lines) != nullptr) {
    }
    pclose(lines);
  }
  function.erase(function.find_last_not_of('\n') + 1);
  const std::string file = object.dli_fname;
  return function + " in " + file.substr(file.rfind('/') + 1);
}

void give_up(const std::string& text) {
  std::string report = "simulated CUDA: " + text + "\n";
  std::array<void*, 40> frames{};
  const int count = backtrace(frames.data(), static_cast<int>(frames.size()));
  for (int i = 1; i < count; ++i) {
    const auto frame = describe(static_cast<const char*>(frames[static_cast<std::size_t>(i)]) - 1);
    if (frame.ends_with("libsimulated_cuda.so")) continue;
    report += "  " + frame + "\n";
  }
  (void)!write(STDERR_FILENO, report.data(), report.size());
  std::abort();
}

}  // namespace simulated_cuda
