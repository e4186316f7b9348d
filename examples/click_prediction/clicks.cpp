#include "clicks.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace click_prediction {
namespace {

constexpr double skew = 1.05;
constexpr double effect_deviation = 0.35;
constexpr double trait_deviation = 0.8;
constexpr double intercept = -1.5;
constexpr std::array<std::pair<std::size_t, std::size_t>, 2> pairs{{{8, 9}, {10, 11}}};

double bent(const std::array<float, numbers>& x) {
  return 0.5 * x[0] - 0.3 * x[1] + 0.6 * std::max(x[2], 0.0F) - 0.4 * std::abs(x[3]);
}

}  // namespace

Clicks::Clicks(std::uint64_t seed) : draws_(seed, "samples") {
  for (std::size_t f = 0; f < features; ++f) {
    const tartan::RandomStream effects(seed, "effects of feature " + std::to_string(f));
    const tartan::RandomStream traits(seed, "traits of feature " + std::to_string(f));
    Feature feature;
    double sum = 0;
    for (Index id = 0; id < table_sizes[f]; ++id) {
      feature.cumulative.push_back(sum += std::pow(static_cast<double>(id + 1), -skew));
      feature.effects.push_back(effect_deviation * effects.normal(id));
      feature.traits.push_back(trait_deviation * traits.normal(id));
    }
    for (double& probability : feature.cumulative) probability /= sum;
    features_.push_back(std::move(feature));
  }
}

Sample Clicks::sample(Index index) const {
  Index draw = index * static_cast<Index>(features + numbers + 1);
  Sample sample;
  sample.score = intercept;
  std::array<double, features> traits{};
  for (std::size_t f = 0; f < features; ++f) {
    const auto& feature = features_[f];
    const auto found = std::ranges::upper_bound(feature.cumulative, draws_.uniform(draw++));
    const auto id = std::min(found - feature.cumulative.begin(), std::ssize(feature.cumulative) - 1);
    sample.ids[f] = static_cast<std::int32_t>(id);
    sample.score += feature.effects[static_cast<std::size_t>(id)];
    traits[f] = feature.traits[static_cast<std::size_t>(id)];
  }
  for (const auto& [a, b] : pairs) sample.score += traits[a] * traits[b];
  for (float& value : sample.values) value = static_cast<float>(draws_.normal(draw++));
  sample.score += bent(sample.values);
  sample.label = draws_.uniform(draw) < 1 / (1 + std::exp(-sample.score)) ? 1 : 0;
  return sample;
}

}  // namespace click_prediction
