#include <tartan/base/threads.hpp>

#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/fail.hpp"
#include "base/parallel.hpp"

namespace tartan {
namespace {

constexpr int most_threads = 1024;

std::atomic<int>& current_threads() {
  const auto initial = [] {
    const char* text = std::getenv("TARTAN_THREADS");
    return text == nullptr ? 1 : parse_threads(text).value_or(1);
  };
  static std::atomic<int> value{initial()};
  return value;
}

std::atomic<Index> current_parallel_bytes{Index{1} << 18};

/// The threads beside the callers': they sleep until there are parts of a task to do.
class Workers {
 public:
  static Workers& instance() {
    static auto* const workers = new Workers;  // never destroyed: its threads sleep until the process ends
    return *workers;
  }

  void run(Index parts, const std::function<void(Index)>& task) {
    std::unique_lock lock(mutex_);
    wanted_ = std::min<Index>(parts, threads()) - 1;
    hire(wanted_);
    task_ = &task;
    next_ = 0;
    parts_ = unfinished_ = parts;
    for (Index i = 0; i < wanted_; ++i) started_.notify_one();
    work(lock);
    wanted_ = 0;
    finished_.wait(lock, [this] { return unfinished_ == 0; });
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  /// A system that has no more threads to give makes a call slower, not wrong.
  void hire(Index count) {
    try {
      for (; hired_ < count; ++hired_) {
        std::thread([this] {
          std::unique_lock lock(mutex_);
          for (;;) {
            started_.wait(lock, [this] { return wanted_ > 0; });
            --wanted_;
            work(lock);
          }
        }).detach();
      }
    } catch (const std::system_error&) {
    }
  }

  void work(std::unique_lock<std::mutex>& lock) {
    while (next_ < parts_) {
      const Index part = next_++;
      const auto& task = *task_;
      lock.unlock();
      std::exception_ptr error;
      try {
        task(part);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error) error_ = error;
      if (--unfinished_ == 0) finished_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable started_, finished_;
  const std::function<void(Index)>* task_ = nullptr;
  Index next_ = 0, parts_ = 0, unfinished_ = 0;
  Index wanted_ = 0;  ///< threads that may still come
  Index hired_ = 0;
  std::exception_ptr error_;
};

}  // namespace

int threads() noexcept { return current_threads().load(std::memory_order_relaxed); }

void set_threads(int count) {
  require(1 <= count && count <= most_threads, "{} threads, expected 1 to {}", count, most_threads);
  current_threads() = count;
}

std::optional<int> parse_threads(std::string_view text) {
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool legal = error == std::errc{} && end == text.data() + text.size() && 1 <= count && count <= most_threads;
  return legal ? std::optional(count) : std::nullopt;
}

Index parallel_bytes() noexcept { return current_parallel_bytes.load(std::memory_order_relaxed); }
void set_parallel_bytes(Index bytes) noexcept { current_parallel_bytes = bytes; }

void run_parts(Index parts, const std::function<void(Index)>& task) {
  static std::atomic_flag busy;
  if (busy.test_and_set(std::memory_order_acquire)) {
    for (Index part = 0; part < parts; ++part) task(part);
    return;
  }
  const struct Release {
    ~Release() { busy.clear(std::memory_order_release); }
  } release;
  Workers::instance().run(parts, task);
}

}  // namespace tartan
