#pragma once

#include <array>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <tartan/base/box.hpp>
#include <tartan/comm/communicator.hpp>
#include <tartan/comm/recorder.hpp>

#include "base/fail.hpp"

namespace tartan {

inline void require_root(const Communicator& communicator, Collective collective, int root) {
  require(0 <= root && root < communicator.size(), "{} on \"{}\": root {} is not below {}", to_string(collective),
          communicator.name(), root, communicator.size());
}

inline void require_size(const Communicator& communicator, Collective collective, const char* what, std::size_t size,
                         Index expected) {
  require(std::cmp_equal(size, expected), "{} on \"{}\", rank {}: {} has {} elements, expected {}",
          to_string(collective), communicator.name(), communicator.rank(), what, size, expected);
}

/// Counts per rank, checked and summed.
struct Layout {
  Layout(const Communicator& communicator, Collective collective, std::span<const Index> counts_)
      : counts{counts_}, rank{static_cast<std::size_t>(communicator.rank())} {
    require(std::cmp_equal(counts.size(), communicator.size()), "{} on \"{}\": {} counts for {} ranks",
            to_string(collective), communicator.name(), counts.size(), communicator.size());
    for (std::size_t r = 0; r < counts.size(); ++r) {
      require(counts[r] >= 0, "{} on \"{}\": the count of rank {} is {}", to_string(collective), communicator.name(), r,
              counts[r]);
      if (r == rank) mine = {total, total + counts[r]};
      total = checked_add(total, counts[r]);
      equal = equal && counts[r] == counts.front();
    }
  }

  Index count() const { return mine.extent(); }
  template <class T>
  std::span<T> my_part(std::span<T> all) const {
    return all.subspan(static_cast<std::size_t>(mine.begin), static_cast<std::size_t>(mine.extent()));
  }
  std::string describe() const { return fmt::format("counts {}", fmt::join(counts, " ")); }

  std::span<const Index> counts;
  std::size_t rank;
  Interval mine;
  Index total = 0;
  bool equal = true;
};

/// The part of `all` that belongs to each rank, for any 64-bit count.
template <class T>
class Parts {
 public:
  Parts(std::span<T> all, std::span<const Index> counts) : all_{all}, offsets_(counts.size() + 1) {
    std::partial_sum(counts.begin(), counts.end(), offsets_.begin() + 1);
  }
  std::span<T> operator[](int rank) const {
    const auto r = static_cast<std::size_t>(rank);
    return all_.subspan(static_cast<std::size_t>(offsets_[r]), static_cast<std::size_t>(offsets_[r + 1] - offsets_[r]));
  }

 private:
  std::span<T> all_;
  std::vector<Index> offsets_;
};

/// Counts and offsets as MPI takes them, without allocation on few ranks. Their sum must fit an int.
class MpiCounts {
 public:
  explicit MpiCounts(std::span<const Index> counts) : size_{counts.size()} {
    if (2 * size_ > few_.size()) many_.resize(2 * size_);
    int offset = 0;
    for (std::size_t r = 0; r < size_; ++r) {
      this->counts()[r] = static_cast<int>(counts[r]);
      offsets()[r] = offset;
      offset += static_cast<int>(counts[r]);
    }
  }
  int* counts() { return many_.empty() ? few_.data() : many_.data(); }
  int* offsets() { return counts() + size_; }

 private:
  std::size_t size_;
  std::array<int, 64> few_;
  std::vector<int> many_;
};

}  // namespace tartan
