#pragma once

#include <string>
#include <vector>

#include <tartan/base/index.hpp>

namespace tartan {

enum class Collective {
  barrier,
  broadcast,
  reduce,
  all_reduce,
  gather,
  scatter,
  all_gather,
  reduce_scatter,
  all_to_all,
  agreement,  ///< at most 16 bytes, to make an error known: counted, but not as traffic
};
const char* to_string(Collective collective) noexcept;

/// One collective call that this rank entered (a chunked call counts once). `bytes` is the payload this rank sends in
/// the plainest algorithm, so that the sum over ranks is the payload of the whole call of n bytes on P ranks: broadcast
/// and reduce (P-1)·n, all-reduce 2·(P-1)·n, all-gather and reduce-scatter (P-1)·n (n: the whole), gather, scatter and
/// all-to-all what leaves its rank.
struct CommRecord {
  Collective collective = Collective::barrier;
  std::string communicator;  ///< its name
  int size = 0;              ///< its number of ranks
  Index bytes = 0;
  bool backward = false;  ///< entered while a tape replays
};

/// Records the collectives this thread enters between its construction and its destruction. Recorders nest; each sees
/// everything.
class CommRecorder {
 public:
  CommRecorder();
  ~CommRecorder();
  CommRecorder(const CommRecorder&) = delete;
  CommRecorder& operator=(const CommRecorder&) = delete;

  const std::vector<CommRecord>& records() const noexcept { return records_; }
  /// Calls of one kind on communicators of more than one rank.
  Index count(Collective collective) const noexcept;
  /// All calls but agreements, on communicators of more than one rank.
  Index count() const noexcept;
  /// Payload of all calls but agreements that this rank sends.
  Index bytes() const noexcept { return bytes_; }
  void clear() noexcept;

 private:
  friend void record(CommRecord record);
  std::vector<CommRecord> records_;
  Index bytes_ = 0;
};

/// Adds a record to every recorder of this thread.
void record(CommRecord record);
/// True while a recorder is alive on this thread.
bool recording() noexcept;

/// While one is alive, this thread's collectives are recorded as backward ones.
class BackwardScope {
 public:
  BackwardScope();
  ~BackwardScope();
  BackwardScope(const BackwardScope&) = delete;
  BackwardScope& operator=(const BackwardScope&) = delete;

 private:
  bool outer_;
};

}  // namespace tartan
