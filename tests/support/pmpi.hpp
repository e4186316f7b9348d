#pragma once

#include <array>

#include <tartan/comm/recorder.hpp>

namespace tartan::testing {

/// What one kind of MPI call did on this rank: `bytes` by the convention of CommRecord, computed from MPI's arguments.
struct MpiTraffic {
  Index calls = 0;
  Index bytes = 0;

  friend bool operator==(const MpiTraffic&, const MpiTraffic&) = default;
};

/// Counts the blocking MPI collectives and the messages that this process enters on groups of more than one rank, from
/// its construction on: at MPI's profiling interface, so that nothing depends on what CommRecorder believes. An
/// agreement shows as all_reduce.
class MpiCounter {
 public:
  MpiCounter();

  /// Calls of one collective, whichever of MPI's variants it was (MPI_Gather and MPI_Gatherv are one).
  MpiTraffic traffic(Collective collective) const;
  /// All collectives together.
  MpiTraffic collectives() const;
  /// Point-to-point messages sent.
  MpiTraffic messages() const;

 private:
  std::array<MpiTraffic, 10> before_;  ///< one per Collective; the last one, agreement, holds the messages
};

}  // namespace tartan::testing
