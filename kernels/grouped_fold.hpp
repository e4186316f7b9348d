#pragma once

#include <tartan/base/index.hpp>

namespace tartan::kernels {

/// Left folds of groups of 32 values, repeatedly until one remains, of values that come one by one: what fold_leaves()
/// gives. For the processor and, being constexpr, for devices.
template <class T>
class GroupedFold {
 public:
  template <class Combine>
  constexpr void add(T value, const Combine& combine) {
    for (int level = 0; level < levels; ++level) {
      folds_[level] = counts_[level] == 0 ? value : combine(folds_[level], value);
      if (++counts_[level] < 32) return;
      value = folds_[level];
      counts_[level] = 0;
    }
  }

  /// Of all values that came; `empty` where none did.
  template <class Combine>
  constexpr T result(T empty, const Combine& combine) const {
    T value = empty;
    bool any = false;
    for (int level = 0; level < levels; ++level) {
      if (counts_[level] == 0) continue;
      value = any ? combine(folds_[level], value) : folds_[level];
      any = true;
    }
    return value;
  }

 private:
  static constexpr int levels = 6;  // 32^6 values
  T folds_[levels] = {};
  int counts_[levels] = {};
};

}  // namespace tartan::kernels
