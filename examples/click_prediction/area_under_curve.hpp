#pragma once

#include <span>

namespace click_prediction {

/// The area under the receiver operating characteristic: how often a sample with label 1 has a higher score than one
/// with label 0, equal scores counting half. NaN where one label is missing or a score is NaN.
double area_under_curve(std::span<const float> scores, std::span<const float> labels);

}  // namespace click_prediction
