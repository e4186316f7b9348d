#include "area_under_curve.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace click_prediction {

double area_under_curve(std::span<const float> scores, std::span<const float> labels) {
  const auto is_nan = [](float score) { return std::isnan(score); };
  if (std::ranges::any_of(scores, is_nan)) return std::numeric_limits<double>::quiet_NaN();
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](std::size_t i) { return scores[i]; });
  double pairs_won = 0;
  double negatives = 0;
  double positives = 0;
  for (std::size_t begin = 0; begin < order.size();) {
    double tied_positives = 0;
    double tied_negatives = 0;
    auto end = begin;
    for (; end < order.size() && scores[order[end]] == scores[order[begin]]; ++end) {
      ++(labels[order[end]] > 0 ? tied_positives : tied_negatives);
    }
    pairs_won += tied_positives * (negatives + tied_negatives / 2);
    positives += tied_positives;
    negatives += tied_negatives;
    begin = end;
  }
  return pairs_won / (positives * negatives);
}

}  // namespace click_prediction
