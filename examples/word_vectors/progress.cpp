#include "progress.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>

namespace word_vectors {
namespace {

std::string clock_time(double seconds) {
  const auto whole = static_cast<Index>(std::lround(seconds));
  return whole < 3600 ? fmt::format("{}:{:02}", whole / 60, whole % 60)
                      : fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

bool is_terminal(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || !S_ISCHR(status.st_mode)) return false;
  const int descriptor = open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool result = isatty(descriptor) == 1;
  close(descriptor);
  return result;
}

}  // namespace

Progress::Progress(std::ostream& out, bool terminal, Index total_words, Clock clock)
    : out_{out},
      terminal_{terminal},
      total_words_{total_words},
      clock_{std::move(clock)},
      start_{clock_()},
      next_{start_ + (terminal ? 0.2 : 2.0)} {}

bool Progress::due() const { return clock_() >= next_; }

void Progress::update(Index words, double loss) {
  const bool done = words >= total_words_;
  const double now = clock_();
  if (now < next_ && !done) return;
  next_ = now + (terminal_ ? 0.2 : 10.0);

  const double elapsed = std::max(now - start_, 1e-9);
  const double fraction = static_cast<double>(words) / static_cast<double>(total_words_);
  const double rate = static_cast<double>(words) / elapsed;
  std::string line = fmt::format("{:5.1f} %  {:7.0f} words/s  loss {:.4f}", 100 * fraction, rate, loss);
  if (!done && words > 0) line += fmt::format("  {} left", clock_time(elapsed / fraction - elapsed));

  if (terminal_) {
    out_ << fmt::format("\r{:<{}}", line, width_) << (done ? "\n" : "") << std::flush;
    width_ = line.size();
  } else {
    out_ << line << std::endl;
  }
}

double Progress::steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool standard_output_is_watched() {
  return isatty(STDOUT_FILENO) == 1 && is_terminal(fmt::format("/proc/{}/fd/1", getppid()));
}

}  // namespace word_vectors
