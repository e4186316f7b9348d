#pragma once

#include <functional>
#include <ostream>

#include <tartan/base/index.hpp>

namespace word_vectors {

using tartan::Index;

/// Shows how far training is: fraction, words per second, loss, time left. A terminal gets one line, rewritten five
/// times a second; anything else a line every ten seconds. To be made on one rank.
class Progress {
 public:
  using Clock = std::function<double()>;  ///< seconds since some fixed moment

  Progress(std::ostream& out, bool terminal, Index total_words, Clock clock = steady_seconds);

  /// Whether update() would write now: callers spare the loss where it would not.
  bool due() const;
  /// `words` of the total are done; writes if due() or if all are done.
  void update(Index words, double loss);
  /// Seconds since the start.
  double seconds() const { return clock_() - start_; }

  static double steady_seconds();

 private:
  std::ostream& out_;
  bool terminal_;
  Index total_words_;
  Clock clock_;
  double start_;
  double next_;
  std::size_t width_ = 0;  ///< of the line that a terminal shows
};

/// Whether a person watches standard output. Under mpiexec every rank's own may be a terminal made for it, so the
/// launcher's counts too; where that cannot be seen, the answer is no.
bool standard_output_is_watched();

}  // namespace word_vectors
