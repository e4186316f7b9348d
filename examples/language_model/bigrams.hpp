#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include <tartan/base/index.hpp>

namespace language_model {

using tartan::Index;

/// The baseline: each token from the one before it, by counts with `k` added to each, P(b | a) = (n(a, b) + k) /
/// (n(a) + k V).
class Bigrams {
 public:
  Bigrams(std::span<const std::int32_t> tokens, Index vocabulary);

  /// The mean of -log P(b | a) over the pairs of `tokens`, in nats.
  double loss(std::span<const std::int32_t> tokens, double k) const;
  /// The least loss over a range of k, chosen on these very tokens: the best that the baseline can do.
  double best_loss(std::span<const std::int32_t> tokens) const;

 private:
  std::map<std::pair<std::int32_t, std::int32_t>, Index> pairs_;
  std::vector<Index> firsts_;
};

}  // namespace language_model
