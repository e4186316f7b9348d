#pragma once

#include <stdexcept>
#include <string>

namespace tartan {

/// Every error that Tartan raises. The text says what was wrong, where, and which bound or choice was expected.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Thrown on the ranks that did nothing wrong when another rank reported a fault: `rank` is the culprit, numbered in
/// the communicator that the caller gave to Tartan (Communicator::root_rank()), and `text()` is what the culprit threw.
/// Both stay as they are where the fault is agreed again with others.
class RemoteError : public Error {
 public:
  RemoteError(int rank, const std::string& text)
      : Error("rank " + std::to_string(rank) + ": " + text), rank_{rank}, text_{text} {}

  int rank() const noexcept { return rank_; }
  const std::string& text() const noexcept { return text_; }

 private:
  int rank_;
  std::string text_;
};

/// An MPI call returned an error, or a communicator is used after one did. Not agreed between ranks: the communicator
/// is finished and the job ends.
class MpiError : public Error {
 public:
  MpiError(const std::string& text, int code) : Error(text), code_{code} {}

  /// The MPI error code, or -1 where the fault was found without one (a deadline that passed, a finished communicator).
  int code() const noexcept { return code_; }

 private:
  int code_;
};

/// A call of the CUDA runtime or of one of its libraries failed on this rank, out of memory included. Not agreed
/// between ranks.
class CudaError : public Error {
 public:
  explicit CudaError(const std::string& text, int code = -1) : Error(text), code_{code} {}

  /// The runtime's error code, or -1 where it has none.
  int code() const noexcept { return code_; }

 private:
  int code_;
};

}  // namespace tartan
