#include <cmath>
#include <random>

#include "click_prediction/area_under_curve.hpp"
#include "click_prediction/clicks.hpp"
#include "click_prediction/options.hpp"
#include "support/catch.hpp"
#include "support/error_text.hpp"

namespace click_prediction {
namespace {

using tartan::testing::error_text;

std::optional<Options> parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "click_prediction");
  return parse_options(static_cast<int>(arguments.size()), arguments.data());
}

TEST_CASE("click_prediction: options and their defaults") {
  const auto defaults = parse({}).value();
  CHECK_FALSE(defaults.grid);
  CHECK(defaults.steps == 2000);
  CHECK(defaults.batch == 1024);
  CHECK(defaults.test_samples == 50'000);
  CHECK(defaults.dimension == 8);
  CHECK(defaults.hidden == 32);
  CHECK(defaults.embeddings);
  CHECK(defaults.learning_rate == 0.2);
  CHECK(defaults.seed == 1);
  const auto given = parse({"--grid", "2x1x4", "--steps", "3", "--batch", "7", "--test-samples", "9", "--dimension",
                            "2", "--hidden", "5", "--no-embeddings", "--learning-rate", "0.5", "--seed", "4"})
                         .value();
  CHECK(given.grid == tartan::Shape{2, 1, 4});
  CHECK(given.steps == 3);
  CHECK(given.batch == 7);
  CHECK(given.test_samples == 9);
  CHECK(given.dimension == 2);
  CHECK(given.hidden == 5);
  CHECK_FALSE(given.embeddings);
  CHECK(given.learning_rate == 0.5);
  CHECK(given.seed == 4);
  CHECK_FALSE(parse({"--steps", "3", "--help"}));
  CHECK(help_text().find("--no-embeddings") != std::string::npos);
}

TEST_CASE("click_prediction: options that mean nothing are refused by name") {
  CHECK(error_text([] { parse({"--steps", "0"}); }) == "--steps \"0\": expected a whole number from 1 to 2147483647");
  CHECK(error_text([] { parse({"--grid", "2x2"}); }).starts_with("--grid \"2x2\": expected three extents"));
  CHECK(error_text([] { parse({"--learning-rate", "nan"}); }).starts_with("--learning-rate \"nan\""));
  CHECK(error_text([] { parse({"more"}); }) == "unexpected argument \"more\" (see --help)");
}

TEST_CASE("the area under the curve counts pairs, ties as halves") {
  std::mt19937 random{1};
  for (const unsigned levels : {2U, 5U, 1000U}) {
    std::vector<float> scores, labels;
    for (int i = 0; i < 200; ++i) {
      scores.push_back(static_cast<float>(random() % levels));
      labels.push_back(random() % 3 == 0 ? 1.0F : 0.0F);
    }
    double won = 0, pairs = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      for (std::size_t j = 0; j < scores.size(); ++j) {
        if (labels[i] <= labels[j]) continue;
        ++pairs;
        won += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
      }
    }
    CHECK(area_under_curve(scores, labels) == Approx(won / pairs).epsilon(1e-12));
  }
  CHECK(area_under_curve(std::vector<float>{1, 2, 3}, std::vector<float>{0, 0, 1}) == 1);
  CHECK(std::isnan(area_under_curve(std::vector<float>{1, 2}, std::vector<float>{1, 1})));
  CHECK(std::isnan(area_under_curve(std::vector<float>{1, NAN}, std::vector<float>{0, 1})));
  CHECK(std::isnan(area_under_curve({}, {})));
}

TEST_CASE("samples are functions of seed and index, and follow their rule") {
  const Clicks clicks(1);
  const Clicks again(1);
  const Clicks other(2);
  int same_as_other = 0;
  for (const Index index : {Index{0}, Index{17}, Index{1} << 40}) {
    const auto a = clicks.sample(index);
    const auto b = again.sample(index);
    CHECK(a.ids == b.ids);
    CHECK(a.values == b.values);
    CHECK(a.score == b.score);
    CHECK(a.label == b.label);
    same_as_other += a.score == other.sample(index).score ? 1 : 0;
  }
  CHECK(same_as_other == 0);

  // Frequencies of categories, and of clicks among samples of about the same score.
  constexpr Index count = 40'000;
  std::array<double, 4> first_ids{};
  std::array<double, 5> seen{}, clicked{}, expected{};
  for (Index i = 0; i < count; ++i) {
    const auto sample = clicks.sample(i);
    for (std::size_t f = 0; f < features; ++f) {
      REQUIRE(sample.ids[f] >= 0);
      REQUIRE(sample.ids[f] < table_sizes[f]);
    }
    if (sample.ids[0] < 4) ++first_ids[static_cast<std::size_t>(sample.ids[0])];
    const auto bin = static_cast<std::size_t>(std::clamp(std::floor(sample.score + 3.5), 0.0, 4.0));
    ++seen[bin];
    clicked[bin] += static_cast<double>(sample.label);
    expected[bin] += 1 / (1 + std::exp(-sample.score));
  }
  double harmonic = 0;
  for (Index k = 1; k <= table_sizes[0]; ++k) harmonic += std::pow(static_cast<double>(k), -1.05);
  for (std::size_t id = 0; id < first_ids.size(); ++id) {
    const double mean = count * std::pow(static_cast<double>(id + 1), -1.05) / harmonic;
    CHECK(std::abs(first_ids[id] - mean) < 5 * std::sqrt(mean));
  }
  for (std::size_t bin = 0; bin < seen.size(); ++bin) {
    CHECK(seen[bin] > 100);
    CHECK(std::abs(clicked[bin] - expected[bin]) < 5 * std::sqrt(expected[bin]));
  }
}

}  // namespace
}  // namespace click_prediction
