#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include <tartan/comm/recorder.hpp>

#include "nn/oracle.hpp"
#include "support/pmpi.hpp"

/// Calls and bytes of a phase, as CommRecorder counts them and as MPI is asked to carry them, against a plan.
namespace tartan::testing {

/// One collective of the budget and the elements that all ranks together send.
struct Planned {
  Collective collective;
  Index elements;
};
using Plan = std::vector<Planned>;

inline constexpr std::array kinds{Collective::barrier,    Collective::broadcast,      Collective::reduce,
                                  Collective::all_reduce, Collective::gather,         Collective::scatter,
                                  Collective::all_gather, Collective::reduce_scatter, Collective::all_to_all};

/// What this rank sent in one phase, by both counts.
struct Sent {
  std::map<Collective, MpiTraffic> recorded;
  std::map<Collective, MpiTraffic> at_mpi;
  Index messages = 0;
  Index in_backward = 0;
};

template <class Call>
Sent sent_by(Call call) {
  const CommRecorder recorder;
  const MpiCounter mpi;
  call();
  Sent sent;
  for (const auto kind : kinds) sent.at_mpi[kind] = mpi.traffic(kind);
  sent.messages = mpi.messages().calls;
  for (const auto& record : recorder.records()) {
    if (record.size == 1) continue;
    auto& traffic = sent.recorded[record.collective];
    traffic = {traffic.calls + 1, traffic.bytes + record.bytes};
    sent.in_backward += record.backward ? 1 : 0;
  }
  return sent;
}

/// Collective over all ranks.
inline void check_plan(const std::string& phase, Sent sent, const Plan& plan) {
  INFO(phase);
  std::map<Collective, MpiTraffic> planned;
  for (const auto& [collective, elements] : plan) {
    auto& traffic = planned[collective];
    traffic = {traffic.calls + 1, traffic.bytes + elements * static_cast<Index>(sizeof(float))};
  }
  std::vector<Index> bytes;
  for (const auto kind : kinds) {
    INFO(to_string(kind));
    CHECK(sent.recorded[kind].calls == planned[kind].calls);
    CHECK(sent.at_mpi[kind].calls == planned[kind].calls);
    bytes.push_back(sent.recorded[kind].bytes);
    bytes.push_back(sent.at_mpi[kind].bytes);
  }
  CHECK(sent.recorded[Collective::agreement].calls == 0);
  CHECK(sent.messages == 0);
  CHECK(sent.in_backward == (phase == "backward" ? std::ssize(plan) : 0));
  std::vector<Index> all(bytes.size());
  world().all_reduce(std::span<const Index>(bytes), std::span<Index>(all));
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    INFO(to_string(kinds[i]));
    CHECK(all[2 * i] == planned[kinds[i]].bytes);
    CHECK(all[2 * i + 1] == planned[kinds[i]].bytes);
  }
}

}  // namespace tartan::testing
