#include "text_files.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include <tartan/base/error.hpp>

namespace text_files {

std::string default_corpus() { return TARTAN_DEFAULT_CORPUS; }

void require_corpus(const std::string& path) {
  std::error_code unreadable;  // is not there, for who asks
  if (std::filesystem::exists(path, unreadable)) return;
  throw tartan::Error(path == default_corpus()
                          ? fmt::format("the default corpus {} is missing: run scripts/quickstart, "
                                        "which writes it, or give another with --corpus",
                                        path)
                          : fmt::format("corpus {} does not exist", path));
}

std::string read(const std::string& path) {
  const auto check = [&](bool good) {
    if (!good) throw tartan::Error(fmt::format("corpus {}: {}", path, std::strerror(errno)));
  };
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  check(in.is_open());
  std::string text;
  std::vector<char> chunk(std::size_t{1} << 20);
  while (in) {
    in.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    text.append(chunk.data(), static_cast<std::size_t>(in.gcount()));
  }
  check(!in.bad());
  return text;
}

}  // namespace text_files
