#include "vectors_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

namespace word_vectors {
namespace {

namespace fs = std::filesystem;

/// What `path` names once links are followed; only a regular file or nothing may be there.
std::string target_of(const std::string& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status)) return path;
  if (!fs::is_regular_file(status)) throw tartan::Error(fmt::format("output {}: not a regular file", path));
  return fs::canonical(path, error).string();
}

/// A file under a temporary name beside `path`, removed unless kept.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& path)
      : path_{path}, target_{target_of(path)}, name_{fmt::format("{}.{}.tmp", target_, getpid())} {
    check((descriptor_ = open(name_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) >= 0, "create");
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (descriptor_ >= 0) close(descriptor_);
    if (!kept_) unlink(name_.c_str());
  }

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      check(written >= 0, "write");
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  void keep() {
    check(fsync(descriptor_) == 0, "write");
    check(close(std::exchange(descriptor_, -1)) == 0, "write");
    check(std::rename(name_.c_str(), target_.c_str()) == 0, "rename");
    kept_ = true;
  }

 private:
  void check(bool good, const char* action) const {
    if (!good) throw tartan::Error(fmt::format("output {}: cannot {} it: {}", path_, action, std::strerror(errno)));
  }

  std::string path_;
  std::string target_;
  std::string name_;
  int descriptor_ = -1;
  bool kept_ = false;
};

}  // namespace

void write_vectors(const std::string& path, const Vocabulary& vocabulary, const Vectors& vectors) {
  constexpr std::size_t flush_size = std::size_t{1} << 20;
  TemporaryFile file(path);
  std::string text = fmt::format("{} {}\n", vocabulary.size(), vectors.dimension);
  std::array<char, 32> digits;
  for (Index id = 0; id < vocabulary.size(); ++id) {
    text += vocabulary.word(id);
    for (const float value : vectors[id]) {
      text += ' ';
      text.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
    }
    text += '\n';
    if (text.size() >= flush_size) {
      file.write(text);
      text.clear();
    }
  }
  file.write(text);
  file.keep();
}

void require_writable(const std::string& path) { TemporaryFile{path}; }

}  // namespace word_vectors
