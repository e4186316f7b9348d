#include <tartan/comm/recorder.hpp>

#include <algorithm>
#include <array>

namespace tartan {
namespace {

thread_local std::vector<CommRecorder*> recorders;
thread_local bool backward = false;

}  // namespace

const char* to_string(Collective collective) noexcept {
  static constexpr std::array names{"barrier", "broadcast",  "reduce",         "all_reduce", "gather",
                                    "scatter", "all_gather", "reduce_scatter", "all_to_all", "agreement"};
  return names[static_cast<std::size_t>(collective)];
}

CommRecorder::CommRecorder() { recorders.push_back(this); }
CommRecorder::~CommRecorder() { std::erase(recorders, this); }

Index CommRecorder::count(Collective collective) const noexcept {
  return std::ranges::count_if(records_, [&](const CommRecord& r) { return r.collective == collective && r.size > 1; });
}

Index CommRecorder::count() const noexcept {
  return std::ranges::count_if(records_,
                               [](const CommRecord& r) { return r.collective != Collective::agreement && r.size > 1; });
}

void CommRecorder::clear() noexcept {
  records_.clear();
  bytes_ = 0;
}

void record(CommRecord record) {
  record.backward |= backward;
  for (CommRecorder* recorder : recorders) {
    recorder->records_.push_back(record);
    if (record.collective != Collective::agreement) recorder->bytes_ += record.bytes;
  }
}

bool recording() noexcept { return !recorders.empty(); }

BackwardScope::BackwardScope() : outer_{backward} { backward = true; }
BackwardScope::~BackwardScope() { backward = outer_; }

}  // namespace tartan
