#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <tartan/base/random.hpp>

namespace click_prediction {

using tartan::Index;

/// The categories of each categorical feature.
inline constexpr std::array<Index, 12> table_sizes{2000, 1000, 500, 500, 200, 200, 100, 100, 50, 20, 10, 5};
inline constexpr std::size_t features = table_sizes.size();
inline constexpr std::size_t numbers = 4;

/// One impression of an advertisement.
struct Sample {
  std::array<std::int32_t, features> ids{};  ///< of categories: 0 is the most frequent, the k-th by 1 / k^1.05
  std::array<float, numbers> values{};       ///< standard normal
  double score = 0;                          ///< log-odds of a click
  float label = 0;                           ///< 1 where it was clicked
};

/// A world of clicks with a rule that is known, so that nothing can predict better than the score does. Every category
/// has an effect on the score and a hidden trait; of two pairs of features the traits multiply; the numbers enter bent.
/// A sample is a function of (seed, index): each rank makes those that it needs.
class Clicks {
 public:
  explicit Clicks(std::uint64_t seed);
  Sample sample(Index index) const;

 private:
  struct Feature {
    std::vector<double> cumulative;  ///< probabilities of the categories, summed up
    std::vector<double> effects;
    std::vector<double> traits;
  };

  std::vector<Feature> features_;
  tartan::RandomStream draws_;
};

}  // namespace click_prediction
