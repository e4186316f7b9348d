#include "alias_table.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace word_vectors {

AliasTable::AliasTable(std::span<const double> weights) : slots_(weights.size()) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  const bool valid = std::all_of(weights.begin(), weights.end(), [](double w) { return w >= 0; });
  if (!valid || !std::isfinite(total) || total <= 0) {
    throw tartan::Error("the weights of an alias table must be finite, not negative and not all 0");
  }

  std::vector<std::int32_t> small;
  std::vector<std::int32_t> large;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    slots_[i] = {weights[i] * static_cast<double>(weights.size()) / total, id};
    (slots_[i].threshold < 1 ? small : large).push_back(id);
  }
  while (!small.empty() && !large.empty()) {
    auto& poor = slots_[static_cast<std::size_t>(small.back())];
    auto& rich = slots_[static_cast<std::size_t>(large.back())];
    small.pop_back();
    poor.alias = large.back();
    rich.threshold -= 1 - poor.threshold;
    if (rich.threshold < 1) {
      small.push_back(large.back());
      large.pop_back();
    }
  }
  // Rounding leaves some slots within an ulp or so of 1: their alias is themselves, whatever the threshold says.
}

std::int32_t AliasTable::draw(const std::array<std::uint32_t, 4>& bits) const {
  const auto word = [&](std::size_t i) { return std::uint64_t{bits[i]} << 32 | bits[i + 1]; };
  __extension__ using Wide = unsigned __int128;
  const auto slot = static_cast<std::size_t>(Wide{word(0)} * slots_.size() >> 64);
  const double uniform = static_cast<double>(word(2) >> 11) * 0x1p-53;
  return uniform < slots_[slot].threshold ? static_cast<std::int32_t>(slot) : slots_[slot].alias;
}

std::vector<double> AliasTable::probabilities() const {
  std::vector<double> result(slots_.size());
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const double own = std::min(slots_[i].threshold, 1.0);
    result[i] += own;
    result[static_cast<std::size_t>(slots_[i].alias)] += 1 - own;
  }
  for (auto& p : result) p /= static_cast<double>(slots_.size());
  return result;
}

}  // namespace word_vectors
