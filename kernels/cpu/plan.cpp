#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "base/element_types.hpp"
#include "kernels/rows.hpp"

namespace tartan::kernels {
namespace {

template <class Word>
struct Hit {
  Word row;
  Word position;
};

/// Two lists of hits that stay with their thread while they are small: the first touch of fresh memory costs as much as
/// a sort.
template <class Word>
class Workspace {
 public:
  explicit Workspace(Index count) {
    for (auto& hits : lists()) {
      if (std::ssize(hits) < count) hits = std::vector<Hit<Word>>(count);
    }
  }
  ~Workspace() {
    constexpr Index kept = (Index{1} << 23) / sizeof(Hit<Word>);
    for (auto& hits : lists()) {
      if (std::ssize(hits) > kept) hits = {};
    }
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  Hit<Word>* hits() const { return lists()[0].data(); }
  Hit<Word>* spare() const { return lists()[1].data(); }

 private:
  static std::array<std::vector<Hit<Word>>, 2>& lists() {
    static thread_local std::array<std::vector<Hit<Word>>, 2> both;
    return both;
  }
};

/// Buckets of 2^11 counters and their heads stay in the first-level cache; fewer rows than that are one counting sort.
constexpr int digit_bits = 11;

/// Sorts `hits` by row, stably; `spare` is as large. The result is in one of the two.
template <class Word>
Hit<Word>* sort_by_row(Hit<Word>* hits, Hit<Word>* spare, Index count, int row_bits) {
  const int passes = (row_bits + digit_bits - 1) / digit_bits;
  for (int pass = 0; pass < passes; ++pass) {
    const int shift = row_bits * pass / passes;
    const int bits = row_bits * (pass + 1) / passes - shift;
    const auto digit = [=](const Hit<Word>& hit) { return (hit.row >> shift) & ((Word{1} << bits) - 1); };
    Index heads[1 << digit_bits] = {};
    for (Index i = 0; i < count; ++i) ++heads[digit(hits[i])];
    Index begin = 0;
    for (Index& head : heads) begin += std::exchange(head, begin);
    for (Index i = 0; i < count; ++i) spare[heads[digit(hits[i])]++] = hits[i];
    std::swap(hits, spare);
  }
  return hits;
}

template <class Word, class I>
RowPlan plan_with(const I* ids, Index count, Index first_row, Index rows, Index padding) {
  const Workspace<Word> workspace(count);
  Hit<Word>* hits = workspace.hits();
  Index kept = 0;
  for (Index i = 0; i < count; ++i) {
    const auto id = static_cast<Index>(ids[i]);
    const auto row = static_cast<std::uint64_t>(id) - static_cast<std::uint64_t>(first_row);
    hits[kept] = {static_cast<Word>(row), static_cast<Word>(i)};
    kept += (row < static_cast<std::uint64_t>(rows)) & (id != padding);
  }
  hits =
      sort_by_row(hits, workspace.spare(), kept, rows > 0 ? std::bit_width(static_cast<std::uint64_t>(rows - 1)) : 0);

  Index distinct = kept > 0;
  for (Index i = 1; i < kept; ++i) distinct += hits[i].row != hits[i - 1].row;

  RowPlan plan{std::vector<Index>(distinct), std::vector<Index>(distinct + 1), std::vector<Index>(kept)};
  Index u = -1;
  Word previous = std::numeric_limits<Word>::max();
  for (Index i = 0; i < kept; ++i) {
    const auto [row, position] = hits[i];
    u += row != std::exchange(previous, row);
    plan.rows[u] = static_cast<Index>(row);
    plan.offsets[u + 1] = i + 1;
    plan.positions[i] = static_cast<Index>(position);
  }
  return plan;
}

}  // namespace

template <class I>
RowPlan plan_rows(Cpu, const I* ids, Index count, Index first_row, Index rows, Index padding) {
  const bool narrow = std::max(count, rows) <= std::numeric_limits<std::uint32_t>::max();
  return narrow ? plan_with<std::uint32_t>(ids, count, first_row, rows, padding)
                : plan_with<std::uint64_t>(ids, count, first_row, rows, padding);
}

#define TARTAN_INSTANTIATE(I) template RowPlan plan_rows(Cpu, const I*, Index, Index, Index, Index);
TARTAN_FOR_EACH_ID_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
