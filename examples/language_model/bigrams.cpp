#include "bigrams.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace language_model {

Bigrams::Bigrams(std::span<const std::int32_t> tokens, Index vocabulary)
    : firsts_(static_cast<std::size_t>(vocabulary)) {
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    ++pairs_[{tokens[i - 1], tokens[i]}];
    ++firsts_[static_cast<std::size_t>(tokens[i - 1])];
  }
}

double Bigrams::loss(std::span<const std::int32_t> tokens, double k) const {
  const double all = k * static_cast<double>(firsts_.size());
  double sum = 0;
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    const auto found = pairs_.find({tokens[i - 1], tokens[i]});
    const auto together = static_cast<double>(found == pairs_.end() ? 0 : found->second);
    sum -= std::log((together + k) / (static_cast<double>(firsts_[static_cast<std::size_t>(tokens[i - 1])]) + all));
  }
  return sum / static_cast<double>(tokens.size() - 1);
}

double Bigrams::best_loss(std::span<const std::int32_t> tokens) const {
  double best = std::numeric_limits<double>::infinity();
  for (const double k : {1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001}) best = std::min(best, loss(tokens, k));
  return best;
}

}  // namespace language_model
