#include "kernels/top_k.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/element_types.hpp"
#include "base/parallel.hpp"

namespace tartan::kernels {
namespace {

constexpr Ranked none{-std::numeric_limits<double>::infinity(), -1};

/// The first k of what `add` gives one after the other.
class First {
 public:
  explicit First(Index k) : entries_(static_cast<std::size_t>(k), none) {}

  void clear() { std::ranges::fill(entries_, none); }
  void add(const Ranked& entry) {
    if (!entry.comes_before(entries_.back())) return;
    const auto place = std::ranges::partition_point(entries_, [&](const Ranked& e) { return e.comes_before(entry); });
    std::move_backward(place, entries_.end() - 1, entries_.end());
    *place = entry;
  }
  const std::vector<Ranked>& entries() const { return entries_; }

 private:
  std::vector<Ranked> entries_;
};

}  // namespace

template <class T>
void rank_classes(Cpu, Matrix<const T> x, Index first_class, Index k, Ranked* best) {
  parallel(x.rows, x.columns * static_cast<Index>(sizeof(T)), [=](Index begin, Index end) {
    First first(k);
    for (Index r = begin; r < end; ++r) {
      first.clear();
      for (Index c = 0; c < x.columns; ++c) {
        first.add({static_cast<double>(x.row(r)[c]), static_cast<double>(first_class + c)});
      }
      std::ranges::copy(first.entries(), best + r * k);
    }
  });
}

template <class T>
void merge_ranked(Cpu, const Ranked* best, Index parts, Index rows, Index k, T* values, Index* classes) {
  First first(k);
  for (Index r = 0; r < rows; ++r) {
    first.clear();
    for (Index p = 0; p < parts; ++p) {
      for (Index i = 0; i < k; ++i) first.add(best[(p * rows + r) * k + i]);
    }
    for (Index i = 0; i < k; ++i) {
      const auto& entry = first.entries()[static_cast<std::size_t>(i)];
      values[r * k + i] = static_cast<T>(entry.value);
      classes[r * k + i] = static_cast<Index>(entry.index);
    }
  }
}

#define TARTAN_INSTANTIATE(T)                                              \
  template void rank_classes(Cpu, Matrix<const T>, Index, Index, Ranked*); \
  template void merge_ranked(Cpu, const Ranked*, Index, Index, Index, T*, Index*);
TARTAN_FOR_EACH_FLOATING_TYPE(TARTAN_INSTANTIATE)
#undef TARTAN_INSTANTIATE

}  // namespace tartan::kernels
