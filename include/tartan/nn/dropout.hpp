#pragma once

#include <cstdint>
#include <string>

#include <tartan/autograd/dropout.hpp>

namespace tartan {

struct DropoutOptions {
  std::string name = "dropout";  ///< with `seed` and the number of the call: which elements go
  double p = 0.5;                ///< the probability that an element goes, from 0 to 1
  std::uint64_t seed = 0;
};

/// dropout() with another mask at each call. Without parameters, and the same for all element types.
class DistributedDropout {
 public:
  /// Throws Error unless 0 <= p <= 1.
  explicit DistributedDropout(DropoutOptions options);

  /// Does not communicate. x itself where the layer does not train or p is 0.
  template <class T>
  Variable<T> operator()(const Variable<T>& x) {
    if (!training_ || options_.p == 0) return x;
    return dropout(x, options_.p, stream_of(calls_++));
  }

  /// Whether elements are dropped at all: true at first. Every rank says the same.
  void set_training(bool training) noexcept { training_ = training; }
  bool training() const noexcept { return training_; }
  /// The number of the next call that drops something, to go on with after a checkpoint.
  std::uint64_t calls() const noexcept { return calls_; }
  void set_calls(std::uint64_t calls) noexcept { calls_ = calls; }
  const DropoutOptions& options() const noexcept { return options_; }

 private:
  RandomStream stream_of(std::uint64_t call) const;

  DropoutOptions options_;
  bool training_ = true;
  std::uint64_t calls_ = 0;
};

}  // namespace tartan
