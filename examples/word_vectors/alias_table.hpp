#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <tartan/base/index.hpp>

namespace word_vectors {

using tartan::Index;

/// Draws 0, ..., n - 1 with probabilities proportional to n given weights, in constant time: Walker's alias method, the
/// table made by Vose's algorithm (A linear algorithm for generating random numbers with a given distribution, 1991).
class AliasTable {
 public:
  /// The weights are finite, not negative and not all 0; throws tartan::Error otherwise.
  explicit AliasTable(std::span<const double> weights);

  Index size() const noexcept { return static_cast<Index>(slots_.size()); }
  /// What 128 uniform bits draw: 64 choose a slot, 53 choose between its two outcomes.
  std::int32_t draw(const std::array<std::uint32_t, 4>& bits) const;
  /// The probability of each outcome, read back from the table.
  std::vector<double> probabilities() const;

 private:
  struct Slot {
    double threshold;  ///< the slot yields itself with this probability, else its alias
    std::int32_t alias;
  };
  std::vector<Slot> slots_;
};

}  // namespace word_vectors
